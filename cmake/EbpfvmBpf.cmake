# ebpfvm_bpf_object(NAME): examples/bpf/NAME.bpf.c as ${EBPFVM_BPF_DIR}/NAME.bpf.o, compiled where there
# is a clang with a BPF back end, else the object that ships in examples/bpf/prebuilt/.
set(EBPFVM_BPF_DIR ${PROJECT_BINARY_DIR}/bpf)
file(MAKE_DIRECTORY ${EBPFVM_BPF_DIR})
find_program(EBPFVM_BPF_CLANG NAMES clang-19 clang-18 clang-17 clang-16 clang-15 clang-14 clang
             DOC "clang that compiles BPF programs")
if(EBPFVM_BPF_CLANG AND NOT DEFINED EBPFVM_BPF_CLANG_WORKS)
  execute_process(COMMAND ${EBPFVM_BPF_CLANG} -target bpf -c -x c /dev/null -o ${EBPFVM_BPF_DIR}/probe.o
                  RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
  if(result EQUAL 0)
    set(EBPFVM_BPF_CLANG_WORKS ON CACHE INTERNAL "")
  else()
    set(EBPFVM_BPF_CLANG_WORKS OFF CACHE INTERNAL "")
  endif()
endif()

function(ebpfvm_bpf_object name)
  set(source ${PROJECT_SOURCE_DIR}/examples/bpf/${name}.bpf.c)
  set(object ${EBPFVM_BPF_DIR}/${name}.bpf.o)
  if(EBPFVM_BPF_CLANG AND EBPFVM_BPF_CLANG_WORKS)
    # From its own folder by a relative name: no build path gets into the object, source lines do.
    add_custom_command(OUTPUT ${object}
      COMMAND ${EBPFVM_BPF_CLANG} -O2 -g -target bpf -mcpu=v3 -Wall -Werror -fdebug-compilation-dir=.
              -c ${name}.bpf.c -o ${object}
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/examples/bpf
      DEPENDS ${source} ${PROJECT_SOURCE_DIR}/examples/bpf/ebpfvm_bpf.h VERBATIM)
  else()
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_COMMAND} -E copy ${PROJECT_SOURCE_DIR}/examples/bpf/prebuilt/${name}.bpf.o ${object}
      DEPENDS ${PROJECT_SOURCE_DIR}/examples/bpf/prebuilt/${name}.bpf.o VERBATIM)
  endif()
  set_property(GLOBAL APPEND PROPERTY EBPFVM_BPF_OBJECTS ${object})
endfunction()
