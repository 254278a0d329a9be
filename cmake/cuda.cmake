# SPDX-License-Identifier: Apache-2.0
# The GPU back end, libwattbert_cuda.so: built where there is a CUDA compiler, and by nobody
# missed where there is none, because the library looks for it only when asked to use a GPU.
#
#     WATTBERT_CUDA  AUTO: where nvcc is found. ON: or fail. OFF: never
set(WATTBERT_CUDA AUTO CACHE STRING "build the GPU back end: AUTO, ON or OFF")
set_property(CACHE WATTBERT_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT WATTBERT_CUDA)
    return()
endif()

find_program(WATTBERT_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH /usr/local/cuda PATH_SUFFIXES bin)
mark_as_advanced(WATTBERT_NVCC)
if(NOT WATTBERT_NVCC)
    if(NOT WATTBERT_CUDA STREQUAL AUTO)
        message(FATAL_ERROR "WATTBERT_CUDA is ON and nvcc was not found: set CUDA_HOME")
    endif()
    message(STATUS "No nvcc: the GPU back end is not built")
    return()
endif()
if(NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${WATTBERT_NVCC})
endif()
# The architectures are given below: this CMake does not know all of their names.
set(CMAKE_CUDA_ARCHITECTURES OFF)
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

# Ampere and, through its portable form, whatever is newer than this compiler; Hopper; consumer
# Blackwell.
set(WATTBERT_CUDA_CODE "80;90a;120" CACHE STRING "GPU architectures to compile for")
set(gpu_options -O3 --expt-relaxed-constexpr -Xcompiler=-Wall,-fvisibility=hidden)
foreach(code IN LISTS WATTBERT_CUDA_CODE)
    list(APPEND gpu_options -gencode=arch=compute_${code},code=sm_${code})
endforeach()
list(APPEND gpu_options -gencode=arch=compute_80,code=compute_80)

file(GLOB gpu_kernels CONFIGURE_DEPENDS src/cuda/*.cu)
add_library(cuda_kernels OBJECT ${gpu_kernels})
target_compile_options(cuda_kernels PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:${gpu_options}>")
target_compile_features(cuda_kernels PRIVATE cuda_std_17)
wb_layer(cuda base plan model)
target_include_directories(wb_cuda SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})

# Forming batches is shared with the CPU; the rest of src/model is not needed.
add_library(wattbert_cuda SHARED src/model/batch.c)
target_link_libraries(wattbert_cuda PRIVATE wb_cuda cuda_kernels wb_base CUDA::cudart_static
                                            Threads::Threads ${CMAKE_DL_LIBS} m)
set(exports ${PROJECT_SOURCE_DIR}/src/cuda/door.map)
target_link_options(wattbert_cuda PRIVATE -Wl,--as-needed -Wl,--version-script=${exports}
                                          -Wl,--exclude-libs,ALL)
# cuBLASLt is looked for where the compiler came from, and where the system looks.
set_target_properties(wattbert_cuda PROPERTIES LINKER_LANGUAGE C LINK_DEPENDS ${exports}
                                               BUILD_RPATH ${CUDAToolkit_LIBRARY_DIR}
                                               INSTALL_RPATH ${CUDAToolkit_LIBRARY_DIR})
install(TARGETS wattbert_cuda)
