# espalier_add_plugin(name SOURCES a.cpp b.cpp)
# A shared library with one exported symbol, linked to the header-only SDK and to LibTorch, and to nothing of the host.
set(ESPALIER_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/plugin.map)

function(espalier_add_plugin name)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  add_library(${name} MODULE ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE espalier::sdk)
  set_target_properties(${name} PROPERTIES
    CXX_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON
    BUILD_RPATH ${TORCH_ROOT}/lib
    LINK_DEPENDS ${ESPALIER_PLUGIN_EXPORTS})
  target_link_options(${name} PRIVATE -Wl,-z,defs -Wl,--version-script=${ESPALIER_PLUGIN_EXPORTS})
endfunction()
