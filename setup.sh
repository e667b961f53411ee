#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what Espalier is built from: Debian packages (Debian 12, as root or with sudo) and .venv, which holds LibTorch
# (the torch wheel) and the tokenizers package. Does nothing, and needs no network, when all of it is there.
#
#   bash setup.sh            what the build and the program need
#   bash setup.sh --tests    also what the tests compare with or look through: PyTorch in Python, transformers, TensorBoard, Chromium,
#                            and run on several processes: Open MPI
#   bash setup.sh --checks   also clang-format and clang-tidy
#
# A set-up that was killed half-way is repaired by running it again. pip's environment variables are respected.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

# Debian package, and what shows on other systems that it is there: a command, a header, or a Python module.
packages=(
  'build-essential            command:g++'
  'cmake                      command:cmake'
  'ninja-build                command:ninja'
  'ccache                     command:ccache'
  'git                        command:git'
  'pkg-config                 command:pkg-config'
  'libboost-dev               header:boost/dll.hpp'
  'libboost-filesystem-dev    header:boost/filesystem.hpp'
  'libboost-program-options-dev header:boost/program_options.hpp'
  'libtomlplusplus-dev        header:toml++/toml.h'
  'libspdlog-dev              header:spdlog/spdlog.h'
  'nlohmann-json3-dev         header:nlohmann/json.hpp'
  'libssl-dev                 header:openssl/evp.h'
  'zlib1g-dev                 header:zlib.h'
  'doctest-dev                header:doctest/doctest.h'
  'python3-venv               module:ensurepip'
)
test_packages=(
  'libopenmpi-dev             command:mpicxx'
  'openmpi-bin                command:mpirun'
)
browser='chromium-headless-shell    command:chromium-headless-shell'
check_packages=(
  'clang-format               command:clang-format'
  'clang-tidy                 command:clang-tidy'
)

# Pinned, and installed without their dependencies: the full set of the torch wheel would be a download of 2.7 GB.
wheels=(
  torch==2.11.0
  # What libtorch_cpu.so and libtorch_cuda.so are linked to and no CUDA toolkit brings, and the two that
  # libtorch_cpu.so needs on a machine without a toolkit, even for CPU use.
  nvidia-cusparselt-cu13==0.8.0 nvidia-nvshmem-cu13==3.4.5 nvidia-cufile==1.15.1.6
  nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85
  tokenizers==0.23.3
)
# `import torch`, transformers, and TensorBoard's reader of events.
test_wheels=(
  transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
  huggingface_hub==2.4.0 filelock==4.2.12 packaging==26.3 PyYAML==6.0.3 regex==2026.11.15 tqdm==4.70.1
  typing_extensions==4.16.0 httpx2==2.16.2 httpcore2==2.16.2 h11==0.16.0 idna==3.20 truststore==0.10.5
  sympy==1.14.0 mpmath==1.3.0
  tensorboard==2.21.0 protobuf==7.36.2 absl-py==2.5.1
)
# libtorch_cuda.so is loaded by `import torch`, and on --device cuda. Wheels for what no CUDA toolkit of this machine provides.
cuda_libraries=(
  'libcublas.so.13       nvidia-cublas==13.1.0.3'
  'libcudnn.so.9         nvidia-cudnn-cu13==9.19.0.56'
  'libcufft.so.12        nvidia-cufft==12.0.0.61'
  'libcurand.so.10       nvidia-curand==10.4.0.35'
  'libcusparse.so.12     nvidia-cusparse==12.6.3.3'
  'libnvJitLink.so.13    nvidia-nvjitlink==13.0.88'
  'libnccl.so.2          nvidia-nccl-cu13==2.28.9'
)

say() { printf 'setup: %s\n' "$*"; }
die() {
  printf 'setup: error: %s\n' "$1" >&2
  shift
  [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
  exit 1
}

tests=false checks=false
for argument in "$@"; do
  case $argument in
    --tests) tests=true ;;
    --checks) checks=true ;;
    -h | --help) sed -n '3,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) printf "setup: error: unknown option; got '%s'; expected --tests or --checks\n" "$argument" >&2; exit 2 ;;
  esac
done
if $tests; then
  packages+=("${test_packages[@]}")
  command -v chromium >/dev/null || packages+=("$browser")  # a whole Chromium serves as well
fi
if $checks; then packages+=("${check_packages[@]}"); fi

[ "$(uname -sm)" = 'Linux x86_64' ] || die "this system cannot be set up; got $(uname -sm); expected Linux x86_64"

# ---- Debian packages

is_debian_12() { (. /etc/os-release && [ "$ID" = debian ] && [ "$VERSION_ID" = 12 ]) 2>/dev/null; }

probe() {  # command:x, header:x or module:x
  case $1 in
    command:*) command -v "${1#*:}" >/dev/null ;;
    header:*) [ -e "/usr/include/${1#*:}" ] || { command -v g++ >/dev/null && echo "#include <${1#*:}>" | g++ -E -x c++ - >/dev/null 2>&1; } ;;
    module:*) python3 -c "import ${1#*:}" 2>/dev/null ;;
  esac
}

missing=()
if is_debian_12; then
  names=()
  for entry in "${packages[@]}"; do names+=("${entry%% *}"); done
  installed=" $(dpkg-query -W -f='${db:Status-Status}:${Package} ' "${names[@]}" 2>/dev/null || true)"
  for name in "${names[@]}"; do
    [[ $installed == *" installed:$name "* ]] || missing+=("$name")
  done
else
  for entry in "${packages[@]}"; do
    read -r name what <<<"$entry"
    probe "$what" || missing+=("$name (${what/:/ })")
  done
fi

if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" != 0 ]; then as_root=(sudo); fi
  reason=
  if ! is_debian_12; then
    reason='packages are missing, and only Debian 12 can be set up by this script'
  elif ! command -v apt-get >/dev/null; then
    reason='packages are missing, and there is no apt-get'
  elif [ ${#as_root[@]} -gt 0 ] && ! command -v sudo >/dev/null; then
    reason='packages are missing, and installing them needs root or sudo'
  fi
  [ -z "$reason" ] || die "$reason; install:" "${missing[@]}"
  say "installing Debian packages: ${missing[*]}"
  install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}")
  "${as_root[@]}" apt-get update -q && "${install[@]}" ||
    die 'apt-get failed (its messages are above); still to be installed:' "${missing[@]}"
fi

# ---- .venv

system_libraries=$( (/sbin/ldconfig -p 2>/dev/null || true; IFS=:; for folder in ${LD_LIBRARY_PATH:-}; do ls "$folder" 2>/dev/null; done) |
  sed 's/^[[:space:]]*//; s/ .*//')
if $tests; then wheels+=("${test_wheels[@]}"); fi
if $tests || [ -e /dev/nvidiactl ]; then
  for entry in "${cuda_libraries[@]}"; do
    read -r library wheel <<<"$entry"
    grep -qxF "$library" <<<"$system_libraries" || wheels+=("$wheel")
  done
fi

python=/usr/bin/python3
[ -x $python ] || python=$(command -v python3) || die 'python3 is missing'
stamp=.venv/espalier-$($tests && echo tests || echo build).stamp
# Says 'unfinished' while .venv is being changed, and is locked then.
state=.venv.state
# The interpreter is part of it: .venv breaks when the system's Python moves on.
wanted=$($python --version; printf '%s\n' "${wheels[@]}")
complete() { [ ! -s $state ] && [ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; }
installed() { ls .venv/lib/python3*/site-packages 2>/dev/null || true; }

if ! complete; then
  exec 9>>$state
  flock -n 9 || { say 'waiting for another set-up of this folder'; flock 9; }
fi
if complete; then
  [ ${#missing[@]} -eq 0 ] || say 'done'
  exit 0
fi

if [ -s $state ]; then
  say 'the last set-up ended half-way: starting .venv anew'
  rm -rf .venv
fi
say ".venv: $([ -d .venv ] && echo 'adding what is missing' || echo 'new'), ${#wheels[@]} wheels (torch alone is 0.5 GB to download, 1.5 GB on disk)"
before=$(installed)
echo unfinished >$state
if ! { [ -x .venv/bin/pip ] || $python -m venv --clear .venv; }; then
  die "$python -m venv failed (its messages are above)"
fi
if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps "${wheels[@]}"; then
  # pip installs nothing before everything is downloaded, so a failed download leaves .venv as it was.
  [ "$before" != "$(installed)" ] || : >$state
  die 'pip could not install (its messages are above); wanted:' "${wheels[@]}"
fi

say 'trying what was installed'
site=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
.venv/bin/python -c "import ctypes; ctypes.CDLL('$site/torch/lib/libtorch_cpu.so'); from tokenizers import Tokenizer" ||
  die 'LibTorch or the tokenizers package does not load (the reason is above)'
if $tests; then
  .venv/bin/python -c 'import torch; from transformers import LlamaForCausalLM' ||
    die 'PyTorch or transformers does not load in Python (the reason is above); a CUDA toolkit of this machine that is not 13.0 may be why'
fi
printf '%s\n' "$wanted" >"$stamp"
: >$state
say 'done'
