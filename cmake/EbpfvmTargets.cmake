# ebpfvm_options: how every target of the project is compiled. ebpfvm_layer(): one folder of src/.
add_library(ebpfvm_options INTERFACE)
target_compile_features(ebpfvm_options INTERFACE cxx_std_23)
target_include_directories(ebpfvm_options INTERFACE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/src)
if(EBPFVM_DEV)
  target_compile_options(ebpfvm_options INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wswitch
                         -Wnon-virtual-dtor -Wold-style-cast -Werror)
endif()
if(EBPFVM_SANITIZE)
  target_compile_options(ebpfvm_options INTERFACE -fsanitize=${EBPFVM_SANITIZE} -fno-omit-frame-pointer
                         -fno-sanitize-recover=all)
  target_link_options(ebpfvm_options INTERFACE -fsanitize=${EBPFVM_SANITIZE})
endif()

# ebpfvm_layer(NAME [SUBFOLDER...]): an object library of all sources of the calling folder.
function(ebpfvm_layer name)
  list(TRANSFORM ARGN APPEND /*.cpp OUTPUT_VARIABLE subfolders)
  file(GLOB sources CONFIGURE_DEPENDS *.cpp ${subfolders})
  add_library(ebpfvm_${name} OBJECT ${sources})
  set_target_properties(ebpfvm_${name} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(ebpfvm_${name} PRIVATE ebpfvm_options fmt::fmt)
endfunction()
