# espalier_add_plugin(name SOURCES a.cpp b.cpp)
# A shared library with one exported symbol, linked to the header-only SDK and to LibTorch, and to nothing of the host.
set(ESPALIER_PLUGIN_EXPORTS ${CMAKE_CURRENT_LIST_DIR}/plugin.map)

function(espalier_add_plugin name)
  cmake_parse_arguments(ARG "" "" "SOURCES" ${ARGN})
  if(NOT ARG_SOURCES OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "espalier_add_plugin(${name}): got '${ARGN}'; expected SOURCES and at least one file")
  endif()
  add_library(${name} MODULE ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE espalier::sdk)
  if(TARGET espalier_flags)  # inside Espalier's own build: its warnings and sanitizers
    target_link_libraries(${name} PRIVATE espalier_flags)
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
endfunction()

# espalier_add_plugin_test(name)
# A test that fails when a component of the plugin breaks a promise: `espalier plugins check`.
function(espalier_add_plugin_test name)
  if(NOT TARGET ${name})
    message(FATAL_ERROR "espalier_add_plugin_test(${name}): no such target; expected one of espalier_add_plugin")
  endif()
  if(TARGET espalier)  # inside Espalier's own build
    set(program $<TARGET_FILE:espalier>)
  else()
    set(program ${ESPALIER_PROGRAM})
  endif()
  add_test(NAME plugin_check_${name} COMMAND ${program} plugins check $<TARGET_FILE:${name}>)
endfunction()
