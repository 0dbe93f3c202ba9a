# inarid: settings, start, routes and everything below.
set(libs inari_http inari_domain inari_store PkgConfig::SECCOMP)
foreach(lib inari_handlers inari_jobs)
    if(TARGET ${lib})
        list(PREPEND libs ${lib})
    endif()
endforeach()
inari_program(inarid LIBS ${libs} SOURCES main.c hand_over.c operate.c routes.c sandbox.c settings.c startup.c)
target_include_directories(inarid PRIVATE ${CMAKE_CURRENT_LIST_DIR})
