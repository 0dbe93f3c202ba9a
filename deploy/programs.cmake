# What goes where, in parts that are installed one by one (deploy/install): server, web and cli are the parent's, agent is
# the child's, common is both's, lab is for looking and testing. Paths inside units follow the install prefix; /etc, /var and /run are the system's.
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

foreach(unit inarid inari-postgres inari-agent inari-helper inari-foxproxy inari-hold@)
    if(unit MATCHES "^inari-(agent|helper|foxproxy|hold@)$")
        set(part agent)
    else()
        set(part server)
    endif()
    configure_file(${CMAKE_CURRENT_SOURCE_DIR}/systemd/${unit}.service.in
                   ${CMAKE_CURRENT_BINARY_DIR}/systemd/${unit}.service @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/systemd/${unit}.service DESTINATION lib/systemd/system COMPONENT ${part})
endforeach()
install(FILES systemd/inari.sysusers DESTINATION lib/sysusers.d RENAME inari.conf COMPONENT common)
install(FILES systemd/inari.tmpfiles DESTINATION lib/tmpfiles.d RENAME inari.conf COMPONENT common)

if(TARGET inarid)
    install(TARGETS inarid DESTINATION ${CMAKE_INSTALL_SBINDIR} COMPONENT server)
endif()
if(TARGET inari-agent)
    install(TARGETS inari-agent DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT agent)
endif()
if(TARGET inari-helper)
    install(TARGETS inari-helper DESTINATION ${INARI_LIBEXEC} COMPONENT agent)
endif()
if(TARGET inari-backup)
    install(TARGETS inari-backup DESTINATION ${INARI_LIBEXEC} COMPONENT server)
endif()
if(TARGET inarictl)
    install(TARGETS inarictl DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT cli)
endif()
# Sample configuration files, written by the programs themselves, so they cannot fall behind.
function(inari_sample target file part)
    if(TARGET ${target})
        set(out ${CMAKE_CURRENT_BINARY_DIR}/samples/${file})
        add_custom_command(OUTPUT ${out} COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/samples
            COMMAND $<TARGET_FILE:${target}> --sample > ${out} DEPENDS ${target} VERBATIM)
        add_custom_target(sample-${target} ALL DEPENDS ${out})
        install(FILES ${out} DESTINATION ${CMAKE_INSTALL_DATADIR}/inari/samples COMPONENT ${part})
    endif()
endfunction()
inari_sample(inarid inarid.conf server)
inari_sample(inari-helper agent.conf agent)

install(PROGRAMS inari-postgres DESTINATION ${INARI_LIBEXEC} COMPONENT server)

# The lab, runnable from where it is installed: inari-lab is a link to it.
install(PROGRAMS lab DESTINATION ${CMAKE_INSTALL_DATADIR}/inari COMPONENT lab)
install(DIRECTORY inarilab DESTINATION ${CMAKE_INSTALL_DATADIR}/inari COMPONENT lab PATTERN "__pycache__" EXCLUDE)
install(CODE "
    set(sbin \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_SBINDIR}\")
    file(MAKE_DIRECTORY \"\${sbin}\")
    file(CREATE_LINK ../${CMAKE_INSTALL_DATADIR}/inari/lab \"\${sbin}/inari-lab\" SYMBOLIC)" COMPONENT lab)

file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.[1-8])
foreach(page ${pages})
    string(REGEX REPLACE ".*\\." "" section ${page})
    get_filename_component(name ${page} NAME_WE)
    set(part ${name})
    string(REGEX REPLACE "^inarid$" "server" part "${part}")
    string(REGEX REPLACE "^inarictl$" "cli" part "${part}")
    string(REGEX REPLACE "^(inari-(agent|helper)|foxproxy)$" "agent" part "${part}")
    string(REGEX REPLACE "^inari-lab$" "lab" part "${part}")
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section} COMPONENT ${part})
endforeach()
# Who receives the parent's SNMP notifications takes it from here.
install(FILES ${CMAKE_SOURCE_DIR}/docs/mib/INARI-MIB.txt DESTINATION ${CMAKE_INSTALL_DATADIR}/inari/mibs COMPONENT server)
