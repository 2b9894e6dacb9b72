# Builds a kernel: build.sh WORK JOBS COMPILER NAME. See built.rs.
set -e
work=$1 jobs=$2 compiler=$3 name=$4
source=$work/source build=$work/build image=$work/kept/image
mkdir -p "$source" "$build" "$image/boot"
tar -x --strip-components=1 -C "$source" -f "$work"/usr/src/linux-source-*.tar.xz
make="make -s -C $source O=$build CC=$compiler HOSTCC=$compiler KBUILD_BUILD_TIMESTAMP=@0 KBUILD_BUILD_USER=krcu KBUILD_BUILD_HOST=krcu"
$make tinyconfig
echo "CONFIG_LOCALVERSION=\"-$name\"" >> "$work/fragment"
( cd "$source" && KCONFIG_CONFIG=$build/.config scripts/kconfig/merge_config.sh -m -O "$build" "$build/.config" "$work/fragment" ) >"$work/merged"
$make olddefconfig
# An option that depends on another one that is off comes out as off, without a word.
sed '/^#/d; /^$/d' "$work/fragment" | while IFS== read -r option value; do
	# The last fragment that names an option decides.
	value=$(sed -n "s/^$option=//p" "$work/fragment" | tail -n 1)
	case $value in
	n) ! grep -q "^$option=" "$build/.config" ;;
	*) grep -qxF "$option=$value" "$build/.config" ;;
	esac || { echo "$option is not $value in the configuration: does it depend on an option that is off?" >&2; exit 1; }
done
$make -j"$jobs" bzImage modules
release=$(cat "$build/include/config/kernel.release")
$make INSTALL_MOD_PATH="$image" DEPMOD=true modules_install
rm -f "$image/lib/modules/$release/build" "$image/lib/modules/$release/source"
cp "$build/arch/x86/boot/bzImage" "$image/boot/vmlinuz-$release"
cp "$build/System.map" "$image/boot/System.map-$release"
cp "$build/vmlinux" "$image/boot/vmlinux-$release"
cp "$build/.config" "$image/boot/config-$release"
depmod -b "$image" -F "$build/System.map" "$release"
# What modules are built against: the two trees without what they compile.
headers=$work/kept/headers/usr/src/linux-headers-$release
mkdir -p "$headers"
( cd "$source" && find . -path ./Documentation -prune -o -path ./arch -prune -o -path ./drivers -prune -o -path ./tools -prune -o \
	\( -name 'Makefile*' -o -name 'Kbuild*' -o -path './include/*' -o -path './scripts/*' \) -type f -print
  find arch/x86 \( -name '*.h' -o -name 'Makefile*' -o -name '*.lds' -o -name '*.sh' -o -name '*.tbl' \) -type f -print ) |
	tar -c -C "$source" -T - | tar -x -C "$headers"
( cd "$build" && find . \( -path './include/*' -o -path './scripts/*' -o -path './arch/x86/include/*' \) -type f -print ) |
	tar -c -C "$build" -T - | tar -x -C "$headers"
mkdir -p "$headers/tools/objtool"
cp "$build/tools/objtool/objtool" "$headers/tools/objtool/"
cp "$build/.config" "$build/Module.symvers" "$headers/"
printf 'CC = $(CROSS_COMPILE)%s\n' "$compiler" > "$headers/.kernelvariables"
# Whoever asks whether the programs of these headers run on a computer looks here.
mkdir -p "$work/kept/headers/usr/lib/linux-kbuild-$release/scripts/mod"
cp "$headers/scripts/mod/modpost" "$work/kept/headers/usr/lib/linux-kbuild-$release/scripts/mod/"
