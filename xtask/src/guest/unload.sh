#!/bin/sh
# unload SCRIPT: the module krcu_play does it as it is unloaded.
printf %s "$1" >/sys/module/krcu_play/parameters/exit && rmmod krcu_play
