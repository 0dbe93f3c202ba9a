# inari_library(NAME LIBS a b ...): every *.c of the calling folder becomes the static library NAME.
# A folder sees only the headers of what it links: a forbidden include does not compile (ARCHITECTURE.md).
function(inari_library name)
    cmake_parse_arguments(A "" "" "LIBS;SOURCES" ${ARGN})
    if(NOT A_SOURCES)
        file(GLOB A_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
    endif()
    add_library(${name} STATIC ${A_SOURCES})
    get_filename_component(parent ${CMAKE_CURRENT_SOURCE_DIR} DIRECTORY)
    target_include_directories(${name} PUBLIC ${parent})
    target_link_libraries(${name} PUBLIC ${A_LIBS} PRIVATE inari_warnings)
endfunction()

# inari_program(NAME LIBS a b ... SOURCES x.c ...)
function(inari_program name)
    cmake_parse_arguments(A "" "" "LIBS;SOURCES" ${ARGN})
    add_executable(${name} ${A_SOURCES})
    target_link_libraries(${name} PRIVATE ${A_LIBS} inari_warnings)
endfunction()

# inari_unit_test(NAME SOURCE LIBS a b ...): a CMocka program that ctest runs.
function(inari_unit_test name source)
    cmake_parse_arguments(A "" "" "LIBS" ${ARGN})
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE ${A_LIBS} PkgConfig::CMOCKA inari_warnings)
    target_compile_definitions(${name} PRIVATE INARI_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    add_test(NAME ${name} COMMAND ${name})
endfunction()
