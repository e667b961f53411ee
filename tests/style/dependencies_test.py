#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""dependencies.py passes a small clean tree, and names each rule that is broken in it."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).with_name("dependencies.py")
LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"

CLEAN = {
    "sdk/include/espalier/sdk/spec.hpp": LICENCE + "#include <vector>\n",
    "core/base/files.hpp": LICENCE + '#include "espalier/sdk/spec.hpp"\n#include <nlohmann/json_fwd.hpp>\n',
    "core/data/tokens.cpp": LICENCE + '#include "core/base/files.hpp"\n#include "core/data/tokens.hpp"\n',
    "core/data/tokens.hpp": LICENCE,
    "core/cli/cli.hpp": LICENCE + '#include "core/data/tokens.hpp"\n',
    "core/main.cpp": LICENCE + '#include "core/cli/cli.hpp"\n',
    "plugins/losses/plugin.cpp": LICENCE
    + '#include "kl.hpp"\n#include "espalier/sdk/spec.hpp"\n#include <ATen/ATen.h>\n  r.add<Kl>("kl", "doc");\n',
    "plugins/losses/kl.hpp": LICENCE,
    "tests/core/x_test.cpp": LICENCE + '#include "core/cli/cli.hpp"\n',
    "README.md": "See `core/base/files.hpp`, [the data](core/data) and `build/release/espalier`; `a/b` is code.\n",
}


class Rules(unittest.TestCase):
    def run_on(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**CLEAN, **changes}.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            result = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True)
        return result.returncode, result.stdout.strip().splitlines()

    def refused(self, changes, *expected):
        code, lines = self.run_on(changes)
        self.assertEqual(code, 1)
        self.assertEqual(len(lines), len(expected), lines)
        for line, text in zip(lines, expected):
            self.assertIn(text, line)

    def test_a_clean_tree_passes(self):
        self.assertEqual(self.run_on({}), (0, ["no violations"]))

    def test_the_sdk_includes_no_core(self):
        broken = LICENCE + '#include "core/base/files.hpp"\n'
        self.refused({"sdk/include/espalier/sdk/spec.hpp": broken}, "spec.hpp:2: sdk/ includes nothing of core/ or plugins/")

    def test_a_plugin_includes_no_core_and_no_library_of_the_core(self):
        broken = LICENCE + '#include "core/base/files.hpp"\n#include <spdlog/spdlog.h>\n#include "plugins/axes/ffn.hpp"\n'
        rule = "a plugin includes only the SDK"
        self.refused({"plugins/losses/kl.hpp": broken}, f"kl.hpp:2: {rule}", f"kl.hpp:3: {rule}", f"kl.hpp:4: {rule}")

    def test_a_kernel_includes_nothing_of_libtorch(self):
        broken = LICENCE + '#include <ATen/ATen.h>\n#include "core/base/files.hpp"\n'
        self.refused({"core/cuda/norm.cu": broken}, "norm.cu:2: a kernel includes nothing of LibTorch; got ATen/ATen.h")
        self.assertEqual(self.run_on({"core/cuda/tensors.cpp": broken})[0], 0)

    def test_the_core_includes_no_plugin(self):
        broken = LICENCE + '#include "plugins/losses/kl.hpp"\n'
        self.refused({"core/base/files.hpp": broken}, "files.hpp:2: core/ includes nothing of plugins/")

    def test_arrows_inside_the_core_point_down(self):
        self.refused(
            {"core/base/files.hpp": LICENCE + "\n# include \"core/data/tokens.hpp\"\n"},
            "core/base/files.hpp:3: core/base includes only itself and what is below it (nothing); got core/data/tokens.hpp",
        )

    def test_folders_side_by_side_do_not_include_each_other(self):
        changes = {"core/ops/ops.hpp": LICENCE + '#include "core/data/tokens.hpp"\n'}
        self.refused(changes, "core/ops includes only itself and what is below it (base, recipe, stats, plugin, model)")

    def test_a_folder_of_the_core_needs_a_rank(self):
        self.refused({"core/extra/x.hpp": LICENCE + "#include <vector>\n"}, "a folder of core/ without a rank; got core/extra")

    def test_the_core_compares_with_no_name_of_a_component(self):
        for line in ('if (name == "kl") x();\n', 'return "kl" != name;\n'):
            self.refused({"core/data/tokens.hpp": LICENCE + line}, "tokens.hpp:2: the host knows kinds, never names")
        self.assertEqual(self.run_on({"core/data/tokens.hpp": LICENCE + 'x("kl"); y == "klx";\n'})[0], 0)

    def test_every_file_begins_with_its_licence(self):
        self.refused({"core/data/tokens.hpp": "#pragma once\n"}, "core/data/tokens.hpp:1: expected SPDX")
        self.assertEqual(self.run_on({"tests/x.sh": "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n"})[0], 0)

    def test_pages_name_only_paths_that_exist(self):
        self.refused({"README.md": "`core/gone.hpp`\n[x](sdk/gone)\n"}, "got core/gone.hpp", "got sdk/gone")


if __name__ == "__main__":
    unittest.main()
