// SPDX-License-Identifier: Apache-2.0
#include "espalier/sdk/plugin.hpp"

#include "depth.hpp"
#include "ffn.hpp"
#include "head_dim.hpp"
#include "heads.hpp"
#include "hidden.hpp"
#include "kv_groups.hpp"
#include "layers.hpp"

ESPALIER_PLUGIN("axes", ESPALIER_VERSION, registrar) {
  using namespace espalier::plugins;
  registrar.add<HiddenAxis>("hidden", "channels of the residual stream, the same ones in the whole model");
  registrar.add<FfnAxis>("ffn", "neurons of each layer's MLP");
  registrar.add<HeadsAxis>("heads", "query heads, the same number in each KV group; keys and values stay");
  registrar.add<HeadDimAxis>("head_dim", "channels of every head, in rotary pairs, the same ones in the whole model");
  registrar.add<KvGroupsAxis>("kv_groups", "KV groups: a key and a value head with the query heads that read them");
  registrar.add<LayersAxis>("layers", "whole decoder layers, the weakest ones or the weakest run");
  registrar.add<AttentionBlocksAxis>("attention_blocks", "the attention of whole layers; the layers stay, unequal");
  registrar.add<MlpBlocksAxis>("mlp_blocks", "the MLP of whole layers; the layers stay, unequal");
}
