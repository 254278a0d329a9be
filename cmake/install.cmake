# SPDX-License-Identifier: Apache-2.0
# What a user gets: library, public headers, program, man page; found by find_package(wattbert)
# and by pkg-config.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wattbert)

install(TARGETS wattbert EXPORT wattbert)
if(TARGET wattbert_program)
    # The program finds the library beside itself wherever the whole is installed or moved.
    file(RELATIVE_PATH library_from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
    set_target_properties(wattbert_program PROPERTIES INSTALL_RPATH $ORIGIN/${library_from_program})
    install(TARGETS wattbert_program)
endif()
install(DIRECTORY include/wattbert DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES docs/wattbert.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)

install(EXPORT wattbert NAMESPACE wattbert:: DESTINATION ${package_dir})
configure_package_config_file(cmake/wattbertConfig.cmake.in wattbertConfig.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(wattbertConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/wattbertConfig.cmake
              ${PROJECT_BINARY_DIR}/wattbertConfigVersion.cmake DESTINATION ${package_dir})

file(RELATIVE_PATH prefix_from_pkgconfig ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(cmake/wattbert.pc.in wattbert.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/wattbert.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
