# $1 is 0 when the package goes for good. Configuration, state and user stay, as is the custom here.
if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now towline.service || :
fi
