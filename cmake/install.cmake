# What `make install` lays under a prefix: headers, library, command, and the ways to find them (CMake, pkg-config).
# Nothing in there holds an absolute path: the folder may move.
include(CMakePackageConfigHelpers)

install(TARGETS tessera EXPORT TesseraTargets RUNTIME_DEPENDENCY_SET taken_along
        FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET tessera_cli)
  install(TARGETS tessera_cli)
endif()

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Tessera)
install(EXPORT TesseraTargets NAMESPACE Tessera:: DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/TesseraConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES cmake/TesseraConfig.cmake ${PROJECT_BINARY_DIR}/TesseraConfigVersion.cmake DESTINATION ${package_dir})

string(REGEX REPLACE "[^/]+" ".." up_from_pkgconfig ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
configure_file(cmake/tessera.pc.in ${PROJECT_BINARY_DIR}/tessera.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tessera.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# The archive of `make package`: one folder that runs on any machine with this glibc or a later one. Everything that is
# not glibc lies beside the library.
if(TESSERA_PORTABLE)
  install(RUNTIME_DEPENDENCY_SET taken_along
          PRE_EXCLUDE_REGEXES "^ld-linux" "^lib(c|m|dl|rt|pthread)\\.so" DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES README.md LICENSE CHANGELOG.md DESTINATION .)
  set(CPACK_GENERATOR TGZ)
  set(CPACK_STRIP_FILES ON)
  set(CPACK_PACKAGE_FILE_NAME tessera-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR})
  include(CPack)

  # What `make device-test` adds, to be run on a machine with a GPU and none of our packages.
  if(TESSERA_TESTS)
    set(device_tests backends_test loop_test array_test transforms_test nn_test)
    set_target_properties(${device_tests} contestant PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
    foreach(program ${device_tests} contestant)
      target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
    endforeach()
    install(TARGETS ${device_tests} DESTINATION tests COMPONENT device_test EXCLUDE_FROM_ALL)
    install(TARGETS contestant DESTINATION bench COMPONENT device_test EXCLUDE_FROM_ALL)
    install(FILES bench/run.py bench/peers.py bench/nets.py DESTINATION bench COMPONENT device_test EXCLUDE_FROM_ALL)
    install(PROGRAMS scripts/device_test.sh DESTINATION . COMPONENT device_test EXCLUDE_FROM_ALL)
    add_custom_target(device_tests DEPENDS tessera_cli contestant ${device_tests})
  endif()
endif()
