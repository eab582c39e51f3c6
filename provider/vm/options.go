package vm

import (
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/remote/agent"
)

// Options of a source of type vm.
type Options struct {
	Image   string   `conf:"image"`       // the base disk, qcow2 or raw: an absolute path, or the name of an image with one; "": each request names one. Nothing is written to it
	Kernel  string   `conf:"kernel"`      // booted directly: an absolute path; "": the disk boots by itself
	Initrd  string   `conf:"initrd"`      // with a kernel
	Append  string   `conf:"append"`      // the kernel's command line; "": console=ttyS0
	Cores   int      `conf:"cores"`       // 0: 1
	Memory  int64    `conf:"memory,size"` // bytes; 0: 512 MiB
	Disk    int64    `conf:"disk,size"`   // bytes, at least; 0: the image's size
	IO      int64    `conf:"io,size"`     // bytes a second that an instance reads and writes of its disks; 0: no limit
	IOPS    int      `conf:"iops"`        // reads and writes of its disks a second; 0: no limit
	Machine string   `conf:"machine"`     // auto, q35, pc or microvm; "": auto, which is q35
	Accel   string   `conf:"accel"`       // auto, kvm or tcg; "": auto, which is kvm where it boots the kernel
	Network string   `conf:"network"`     // user, none, or tap:LINK; "": user
	Egress  []string `conf:"egress"`      // where it may go: words, addresses and ranges as package egress has them; none: the internet
	Ports   []string `conf:"ports"`       // [PORT:]PORT[/udp]: of 127.0.0.1, and inside; without the first a free one
	Access  string   `conf:"agent"`       // virtio-serial or ssh; "": virtio-serial
	User    string   `conf:"user"`        // whom commands run as, and who logs in; "": root
	Seed    string   `conf:"seed"`        // a file of user-data for cloud-init, beside ours
	Ready   string   `conf:"ready"`       // a command, split at spaces: the machine is ready when it succeeds; "": when its services are started
	Warm    bool     `conf:"warm"`        // instances are copies of one booted machine, and paused until they are used
	Qemu    string   `conf:"qemu"`        // the program; "": qemu-system-x86_64 or this machine's kind of it, on PATH

	Agent        agent.Finder  // finds the program that goes into the guest, and that qemu is put into its jail by; required for Create
	Source       string        // the source's name
	Installation string        // the installation's id
	Dir          string        // where the instances are; required
	Images       string        // the store of images; required for names of such
	ImageLimits  image.Limits  // of images that are unpacked there
	Others       *image.Others // how images are fetched that requests name; nil: as the owner's
	Home         string        // the user's, which ~/ before an image's file stands for
}
