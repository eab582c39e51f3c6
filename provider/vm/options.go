package vm

import (
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/remote/agent"
)

// options of a source of type vm.
type options struct {
	// the base disk, qcow2 or raw: an absolute path, or the name of an image with one; "": each
	// request names one. Nothing is written to it
	Image string `conf:"image"`
	// booted directly: an absolute path; "": the disk boots by itself
	Kernel string `conf:"kernel"`
	Initrd string `conf:"initrd"`      // with a kernel
	Append string `conf:"append"`      // the kernel's command line; "": console=ttyS0
	Cores  int    `conf:"cores"`       // 0: 1
	Memory int64  `conf:"memory,size"` // bytes; 0: 512 MiB
	Disk   int64  `conf:"disk,size"`   // bytes, at least; 0: the image's size
	// bytes a second that an instance may read and write on its disks; 0: no limit
	IO      int64  `conf:"io,size"`
	IOPS    int    `conf:"iops"`    // reads and writes on its disks a second; 0: no limit
	Machine string `conf:"machine"` // auto, q35, pc or microvm; "": auto, which is q35
	// auto, kvm or tcg; "": auto, which is kvm where it boots the kernel
	Accel   string `conf:"accel"`
	Network string `conf:"network"` // user, none, or tap:LINK; "": user
	// where it may go: words, addresses and ranges as package egress has them; none: the internet
	Egress []string `conf:"egress"`
	// [PORT:]PORT[/udp]: of 127.0.0.1, and inside; without the first a free one
	Ports  []string `conf:"ports"`
	Access string   `conf:"agent"` // virtio-serial or ssh; "": virtio-serial
	User   string   `conf:"user"`  // the user that commands run as and that logs in; "": root
	Seed   string   `conf:"seed"`  // a file of user-data for cloud-init, beside ours
	// a command, split at spaces: the machine is ready when it succeeds; "": when its services are
	// started
	Ready string `conf:"ready"`
	// instances are copies of one booted machine, and paused until they are used
	Warm bool `conf:"warm"`
	// the program; "": qemu-system-x86_64 or this machine's kind of it, on PATH
	Qemu string `conf:"qemu"`

	// finds the program that goes into the guest and that puts qemu into its jail; required for
	// Create
	Agent        agent.Finder
	Source       string         // the source's name
	Installation string         // the installation's id
	Dir          string         // where the instances are; required
	Images       string         // the store of images; required for images that are names
	ImageLimits  image.Limits   // of images that are unpacked there
	Registry     image.Registry // knows registries of images
	Others       *image.Others  // how images are fetched that requests name; nil: as the owner's
	Home         string         // the user's, which ~/ before an image's file stands for
}
