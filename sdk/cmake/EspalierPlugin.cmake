# espalier_add_plugin(name SOURCES a.cpp b.cpp [CUDA_SOURCES a.cu])
# A shared library with one exported symbol, linked to the header-only SDK and to LibTorch, and to nothing of the host.
# CUDA_SOURCES need nvcc; they are linked to the static CUDA runtime, so that the plugin loads where CUDA is missing.
set(ESPALIER_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/plugin.map)

# A macro, because a language can be enabled at file scope only.
macro(espalier_add_plugin name)
  set(_espalier_arguments ${ARGN})
  if("CUDA_SOURCES" IN_LIST _espalier_arguments)
    _espalier_enable_cuda(${name})
  endif()
  _espalier_add_plugin(${name} ${_espalier_arguments})
endmacro()

macro(_espalier_enable_cuda name)
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(ESPALIER_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
    if(NOT ESPALIER_NVCC)
      message(FATAL_ERROR "espalier_add_plugin(${name}): no compiler for CUDA_SOURCES; got no nvcc on PATH, in CUDA_HOME or in "
        "/usr/local/cuda; expected the CUDA toolkit: install it, or give -DCMAKE_CUDA_COMPILER=")
    endif()
    set(CMAKE_CUDA_COMPILER ${ESPALIER_NVCC})
  endif()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 75 90)  # newer ones compile the code of 90 when they load it
  endif()
  enable_language(CUDA)
endmacro()

function(_espalier_add_plugin name)
  cmake_parse_arguments(ARG "" "" "SOURCES;CUDA_SOURCES" ${ARGN})
  if(NOT ARG_SOURCES OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "espalier_add_plugin(${name}): got '${ARGN}'; expected SOURCES and at least one file")
  endif()
  add_library(${name} MODULE ${ARG_SOURCES} ${ARG_CUDA_SOURCES})
  target_link_libraries(${name} PRIVATE espalier::sdk)
  if(TARGET espalier_flags)  # inside Espalier's own build: its warnings and sanitizers
    target_link_libraries(${name} PRIVATE espalier_flags)
  elseif(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    target_compile_options(${name} PRIVATE -O2)  # without a build type CMake would not optimise at all
  endif()
  if(TARGET espalier_plugin_pch)
    target_precompile_headers(${name} REUSE_FROM espalier_plugin_pch)
  endif()
  set_target_properties(${name} PROPERTIES
    PREFIX lib
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    BUILD_RPATH ${TORCH_ROOT}/lib
    INSTALL_RPATH ${TORCH_ROOT}/lib
    LINK_DEPENDS ${ESPALIER_PLUGIN_EXPORTS})
  target_link_options(${name} PRIVATE -Wl,-z,defs -Wl,--version-script=${ESPALIER_PLUGIN_EXPORTS})
  if(ARG_CUDA_SOURCES)
    string(REGEX MATCH "^[0-9]+\\.[0-9]+" toolkit "${CMAKE_CUDA_COMPILER_VERSION}")
    target_compile_definitions(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CXX>:ESPALIER_PLUGIN_CUDA=\"${toolkit}\">")  # for the stamp
    set_target_properties(${name} PROPERTIES
      CUDA_RUNTIME_LIBRARY Static
      CUDA_STANDARD 17
      CUDA_VISIBILITY_PRESET hidden)
  endif()
endfunction()

# espalier_add_plugin_test(name [EXCEPT property…])
# A test that fails when a component of the plugin breaks a promise: `espalier plugins check`. EXCEPT: what the author
# means to be so.
function(espalier_add_plugin_test name)
  if(NOT TARGET ${name})
    message(FATAL_ERROR "espalier_add_plugin_test(${name}): no such target; expected one of espalier_add_plugin")
  endif()
  cmake_parse_arguments(ARG "" "" "EXCEPT" ${ARGN})
  list(TRANSFORM ARG_EXCEPT PREPEND "--except=")
  add_test(NAME plugin_check_${name} COMMAND espalier::program plugins check $<TARGET_FILE:${name}> ${ARG_EXCEPT})
endfunction()
