#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Purpose: EleutherAI's lm-evaluation-harness on a model that espalier exported, and espalier's own number for the same task.
# Command: bash examples/09_lm_eval/run.sh [--small | MODEL]    MODEL: a run or a Hugging Face folder; default: the quick
#          start's width student. --small trains a model in seconds.
# Ends with: both accuracies, "they agree" and "done".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
espalier=${ESPALIER_PROGRAM:-$root/build/release/espalier}
venv=$root/build/lm_eval
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"

if ! "$venv/bin/python" -c 'import lm_eval, accelerate' 2>/dev/null; then
  echo "== set up: the harness in build/lm_eval, with torch and transformers of .venv"
  bash setup.sh --tests
  python3 -m venv "$venv"
  "$root/.venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
    >"$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/espalier.pth"
  # Without their dependencies, which would bring another torch; then all of these but torch and transformers. What pip says
  # of packages that torch would like to have beside it is of no use here.
  {
    "$venv/bin/pip" install --quiet --no-deps lm_eval==0.4.13 accelerate==1.15.0
    "$venv/bin/pip" install --quiet datasets==5.2.0 evaluate==0.4.6 jinja2==3.1.6 pytablewriter==1.2.1 rouge-score==0.1.2 \
      sacrebleu==2.6.0 scikit-learn==1.9.1 sqlitedict==2.1.0 dill==0.4.1 word2number==1.1 more_itertools==11.2.1 psutil==7.2.2
  } >"$work/pip.txt" 2>&1 || true
  if ! "$venv/bin/python" -c 'import lm_eval, accelerate'; then
    cat "$work/pip.txt" >&2
    exit 1
  fi
fi

model=${1:-runs/quickstart/width}
if [ "$model" = --small ]; then
  echo "== a model: of the first example, trained in seconds"
  ln -s "$root/sdk" "$work/corpus"
  (cd "$work" && "$espalier" run "$here/../01_run_a_recipe/teacher.toml" --log-level warning)
  model=$work/runs/teacher
fi
export=$model
if [ -d "$model/export" ]; then export=$model/export; fi

echo "== espalier: bytes as tokens, or what the model brings"
"$espalier" eval "$export" --task "$here/headers.jsonl" --json >"$work/ours.json"

echo "== lm-evaluation-harness: the same weights and the same tokens"
if [ ! -e "$export/tokenizer.json" ]; then
  "$venv/bin/python" "$here/byte_tokenizer.py" "$export" "$work/export"
  export=$work/export
fi
mkdir "$work/tasks"
sed "s|DATA|$here/headers.jsonl|" "$here/headers.yaml" >"$work/tasks/headers.yaml"
HF_HUB_OFFLINE=1 HF_HOME=$work/cache PYTHONWARNINGS=ignore "$venv/bin/python" -m lm_eval --model hf \
  --model_args "pretrained=$export,dtype=float32,add_bos_token=False" --tasks espalier_headers --include_path "$work/tasks" \
  --device cpu --batch_size 8 --output_path "$work/harness" >"$work/log.txt" 2>&1 || { cat "$work/log.txt" >&2; exit 1; }

"$venv/bin/python" "$here/agree.py" "$work/ours.json" "$work/harness" headers espalier_headers
echo done
