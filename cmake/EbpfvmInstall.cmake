# Installed package: find_package(ebpfvm) and pkg-config ebpfvm.
include(CMakePackageConfigHelpers)

install(TARGETS ebpfvm EXPORT ebpfvmTargets)
install(DIRECTORY include/ebpfvm DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES examples/bpf/ebpfvm_bpf.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/ebpfvm/bpf)
install(EXPORT ebpfvmTargets NAMESPACE ebpfvm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ebpfvm)
configure_package_config_file(cmake/ebpfvmConfig.cmake.in ebpfvmConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ebpfvm)
write_basic_package_version_file(ebpfvmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ebpfvmConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/ebpfvmConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/ebpfvm)
# What a static library needs besides itself.
if(EBPFVM_JIT)
  set(EBPFVM_PC_PRIVATE_LIBS "-lasmjit -lrt -pthread")
endif()
if(NOT BUILD_SHARED_LIBS)
  set(EBPFVM_PC_LIBS "${EBPFVM_PC_PRIVATE_LIBS}")
endif()
# Relative to the file itself, so that the package can be moved.
file(RELATIVE_PATH EBPFVM_PC_TO_PREFIX /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(cmake/ebpfvm.pc.in ebpfvm.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/ebpfvm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
