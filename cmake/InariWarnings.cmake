# The warnings every target of ours is built with (docs: CONTRIBUTING.md).
add_library(inari_warnings INTERFACE)
target_compile_options(inari_warnings INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wundef -Wvla
    -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wwrite-strings -Wcast-qual
    -Wpointer-arith -Wdouble-promotion -Wswitch-enum
    # snprintf() into fixed buffers cuts on purpose (messages, log values).
    -Wno-format-truncation)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(inari_warnings INTERFACE
        -Wno-pedantic -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Walloc-zero)
else()
    target_compile_options(inari_warnings INTERFACE -Wno-pedantic)
endif()
if(INARI_WERROR)
    target_compile_options(inari_warnings INTERFACE -Werror)
endif()
add_compile_definitions(_GNU_SOURCE INARI_VERSION="${PROJECT_VERSION}")
if(INARI_TEST_HOOKS)
    add_compile_definitions(INARI_TEST_HOOKS=1)
endif()
