# inari_db_test(NAME SOURCE LIBS a b ...): a CMocka program run with a private PostgreSQL (tests/unit/store/pg.sh).
function(inari_db_test name source)
    cmake_parse_arguments(A "" "" "LIBS" ${ARGN})
    add_executable(${name} ${source})
    target_link_libraries(${name} PRIVATE ${A_LIBS} PkgConfig::CMOCKA inari_warnings)
    add_test(NAME ${name} COMMAND ${CMAKE_SOURCE_DIR}/tests/unit/store/pg.sh $<TARGET_FILE:${name}>)
endfunction()
