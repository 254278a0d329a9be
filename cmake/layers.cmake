# SPDX-License-Identifier: Apache-2.0
# The folders of src/ as object libraries. A folder without sources makes no target, so that a
# layer can be taken out of the tree and the rest still configures.

# wb_layer(plan base cpu kernels): src/plan as wb_plan, over the layers named after it. Which
# headers it may include is checked by tools/check_layers.sh; which objects its tests link, here.
function(wb_layer name)
    file(GLOB sources CONFIGURE_DEPENDS src/${name}/*.c)
    if(NOT sources)
        return()
    endif()
    add_library(wb_${name} OBJECT ${sources})
    target_compile_definitions(wb_${name} PRIVATE WATTBERT_VERSION="${PROJECT_VERSION}")
    target_link_libraries(wb_${name} PRIVATE ${WB_LIBRARIES})
    set_property(GLOBAL APPEND PROPERTY WB_LAYERS wb_${name})
    set_property(GLOBAL PROPERTY WB_BELOW_${name} ${ARGN})
endfunction()

# wb_kernel_set(avx2 "-mavx2;-mfma"): src/kernels/avx2 with these flags, as a part of wb_kernels.
function(wb_kernel_set name flags)
    file(GLOB sources CONFIGURE_DEPENDS src/kernels/${name}/*.c)
    if(sources AND TARGET wb_kernels)
        target_sources(wb_kernels PRIVATE ${sources})
        set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${flags}")
    endif()
endfunction()
