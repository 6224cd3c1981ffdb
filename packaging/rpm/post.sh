# Makes the user and /etc/towline; $1 is 1 for the first version and 2 for a later one, whose service is started anew if it runs. It is
# neither enabled nor started: without a configuration it could only fail.
systemd-sysusers /usr/lib/sysusers.d/towline.conf || :
if [ ! -d /etc/towline ]; then
    mkdir -m 0750 /etc/towline
    chgrp towline /etc/towline || :
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
    if [ "$1" -ge 2 ]; then
        systemctl try-restart towline.service || :
    fi
fi
