package cloud

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"sync"

	"github.com/hostler-project/hostler/compute"
)

// SharedDir is the directory of the shared disk, on all servers that have it.
const SharedDir = "/shared"

// install installs the NFS packages with the distribution's package manager. $1 has the names of
// Debian and its kin, $2 of the Red Hats, $3 of SUSE, $4 of Alpine and Arch. $5 is a program of the
// packages: if it is there, nothing is installed. become is sudo unless we are root.
const install = `PATH=$PATH:/usr/sbin:/sbin; export PATH; become=; [ "$(id -u)" = 0 ] || become="sudo -n"
install() {
	command -v "$5" >/dev/null 2>&1 && return 0
	if command -v apt-get >/dev/null 2>&1; then
		$become env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=60 update && $become env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=60 --no-install-recommends install "$1"
	elif command -v dnf >/dev/null 2>&1; then $become dnf -q -y install "$2"
	elif command -v yum >/dev/null 2>&1; then $become yum -q -y install "$2"
	elif command -v zypper >/dev/null 2>&1; then $become zypper -q -n install "$3"
	elif command -v apk >/dev/null 2>&1; then $become apk -q add "$4"
	elif command -v pacman >/dev/null 2>&1; then $become pacman -q -S --noconfirm --needed "$4"
	else echo "no package manager that is known: apt-get, dnf, yum, zypper, apk or pacman" >&2; return 1
	fi >&2
}
`

// export makes the shared directory $1 and lets the network $2 mount it. It may be repeated.
const export = install + `set -e
install nfs-kernel-server nfs-utils nfs-kernel-server nfs-utils exportfs
[ -d "$1" ] || { $become mkdir -p -- "$1"; $become chown "$(id -u):$(id -g)" -- "$1"; }
$become mkdir -p /etc/exports.d
printf '%s %s(rw,sync,no_subtree_check,no_root_squash)\n' "$1" "$2" | $become tee /etc/exports.d/hostler.exports >/dev/null
if [ -d /run/systemd/system ]; then
	$become systemctl enable --now nfs-server >&2 || $become systemctl enable --now nfs-kernel-server >&2
elif command -v rc-service >/dev/null 2>&1; then
	$become rc-update add nfs default >&2 || :; $become rc-service nfs start >&2
elif [ -x /etc/init.d/nfs-kernel-server ]; then
	$become /etc/init.d/nfs-kernel-server start >&2
else
	echo "nothing that is known starts the NFS server: neither systemd nor OpenRC nor /etc/init.d/nfs-kernel-server" >&2; exit 1
fi
$become exportfs -ra >&2`

// mount mounts the directory $1 of the server $2, unless it is mounted already. If the server stays
// silent, accesses fail after a while instead of hanging for ever.
const mount = install + `set -e
m=$(awk -v d="$1" '$2 == d && $3 ~ /^nfs/ {print $1}' /proc/mounts)
[ "$m" = "$2:$1" ] && exit 0
[ -z "$m" ] || { echo "$1 is $m already" >&2; exit 1; }
install nfs-common nfs-utils nfs-client nfs-utils mount.nfs
$become mkdir -p -- "$1"
$become mount -t nfs -o nfsvers=4,proto=tcp,hard,timeo=150,retrans=3,noatime "$2:$1" "$1"`

// unmount unmounts the shared disk; lazily, if a process still uses it.
const unmount = `PATH=$PATH:/usr/sbin:/sbin; become=; [ "$(id -u)" = 0 ] || become="sudo -n"
awk -v d="` + SharedDir + `" '$2 == d && $3 ~ /^nfs/ {f=1} END {exit !f}' /proc/mounts || exit 0
sync; $become umount "` + SharedDir + `" 2>/dev/null || $become umount -l "` + SharedDir + `"`

// CreateSharedDisk makes the server export SharedDir over NFS version 4, to the servers' network
// alone. It may be repeated. It installs the distribution's NFS server if that is missing.
func (s *Server) CreateSharedDisk(ctx context.Context) error {
	cidr, err := s.disk.subnet(ctx)
	if err != nil {
		return err
	}
	return s.disk.add(ctx, "CreateSharedDisk", export, cidr)
}

// MountSharedDisk mounts the shared disk of the server at address ip on this server. It may be
// repeated. The disk is unmounted before the server is destroyed.
func (s *Server) MountSharedDisk(ctx context.Context, ip string) error {
	if _, err := netip.ParseAddr(ip); err != nil {
		return s.shell.line.fail("MountSharedDisk", compute.ErrInvalid, err)
	}
	return s.disk.add(ctx, "MountSharedDisk", mount, ip)
}

// SharedDisk reports whether the server has the shared disk, its own or mounted.
func (s *Server) SharedDisk() bool { return s.disk.has() }

// sharedDisk is a server's part in the disk that servers share.
type sharedDisk struct {
	c     *Cloud // nil: nothing is recorded
	r     record
	t     Timers
	shell *shell

	mu    sync.Mutex
	there bool // it is exported or mounted
}

func (d *sharedDisk) has() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.there
}

// add runs a script that gives the server the disk, and records that it has it, for this and other
// processes. The script gets the shared directory and a network or a server.
func (d *sharedDisk) add(ctx context.Context, op, script, peer string) error {
	limited, cancel := context.WithTimeout(ctx, d.t.SharedDisk)
	defer cancel()
	_, _, err := d.shell.run(limited, op, &compute.Command{Args: []string{"sh", "-c", script, "sh", SharedDir, peer}})
	if err != nil && ctx.Err() == nil && limited.Err() != nil {
		return d.shell.line.fail(op, compute.ErrTimeout, err)
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.there = true
	d.mu.Unlock()
	if d.c == nil {
		return nil
	}
	_, err = d.c.records.change(ctx, d.r.Name, func(r *record) error { r.SharedDisk = true; return nil })
	return err
}

// subnet returns the network that may mount what the server exports.
func (d *sharedDisk) subnet(ctx context.Context) (string, error) {
	if d.c != nil {
		made, _, err := d.c.records.deployment(ctx)
		if err != nil {
			return "", err
		}
		if inNetwork(d.r.IP, made.CIDR) || d.r.Login.External {
			if made.CIDR != "" {
				return made.CIDR, nil
			}
		}
	}
	// Ask the server itself for its network.
	out, _, err := d.shell.run(
		ctx, "CreateSharedDisk",
		&compute.Command{Args: []string{
			"sh", "-c",
			`PATH=$PATH:/usr/sbin:/sbin; ip -o -4 addr show | awk -v a="$1" '{split($4, x, "/"); if (x[1] == a) {print $4; exit}}'`,
			"sh", d.r.IP,
		}},
	)
	if err != nil {
		return "", err
	}
	net, err := netip.ParsePrefix(cmp.Or(firstLine(out), "none"))
	if err != nil {
		return "", d.shell.line.fail(
			"CreateSharedDisk", compute.ErrInvalid,
			errors.New("nobody knows which network to export to: the server has no address "+d.r.IP),
		)
	}
	return net.Masked().String(), nil
}

func firstLine(text string) string {
	for i := range text {
		if text[i] == '\n' {
			return text[:i]
		}
	}
	return text
}
