# What goes where. Paths inside units follow the install prefix; /etc, /var and /run are the system's.
set(HARDENING "CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
ProcSubset=pid
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native")
set(INARI_LIBEXEC ${CMAKE_INSTALL_LIBEXECDIR}/inari)

foreach(unit inarid inari-postgres inari-agent inari-helper)
    configure_file(${CMAKE_CURRENT_SOURCE_DIR}/systemd/${unit}.service.in
                   ${CMAKE_CURRENT_BINARY_DIR}/systemd/${unit}.service @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/systemd/${unit}.service DESTINATION lib/systemd/system)
endforeach()
install(FILES systemd/inari.sysusers DESTINATION lib/sysusers.d RENAME inari.conf)
install(FILES systemd/inari.tmpfiles DESTINATION lib/tmpfiles.d RENAME inari.conf)

if(TARGET inarid)
    install(TARGETS inarid DESTINATION ${CMAKE_INSTALL_SBINDIR})
endif()
if(TARGET inari-agent)
    install(TARGETS inari-agent DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET inari-helper)
    install(TARGETS inari-helper DESTINATION ${INARI_LIBEXEC})
endif()
if(TARGET inarictl)
    install(TARGETS inarictl DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
# Sample configuration files, written by the programs themselves, so they cannot fall behind.
function(inari_sample target file)
    if(TARGET ${target})
        set(out ${CMAKE_CURRENT_BINARY_DIR}/samples/${file})
        add_custom_command(OUTPUT ${out} COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/samples
            COMMAND $<TARGET_FILE:${target}> --sample > ${out} DEPENDS ${target} VERBATIM)
        add_custom_target(sample-${target} ALL DEPENDS ${out})
        install(FILES ${out} DESTINATION ${CMAKE_INSTALL_DATADIR}/inari/samples)
    endif()
endfunction()
inari_sample(inarid inarid.conf)
inari_sample(inari-helper agent.conf)

install(PROGRAMS inari-postgres DESTINATION ${INARI_LIBEXEC})

# The lab, runnable from where it is installed: inari-lab is a link to it.
install(PROGRAMS lab DESTINATION ${CMAKE_INSTALL_DATADIR}/inari)
install(DIRECTORY inarilab DESTINATION ${CMAKE_INSTALL_DATADIR}/inari PATTERN "__pycache__" EXCLUDE)
install(CODE "
    set(sbin \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}\")
    file(MAKE_DIRECTORY \"\${sbin}\")
    file(CREATE_LINK ../${CMAKE_INSTALL_DATADIR}/inari/lab \"\${sbin}/inari-lab\" SYMBOLIC)")

file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.[1-8])
foreach(page ${pages})
    string(REGEX REPLACE ".*\\." "" section ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
