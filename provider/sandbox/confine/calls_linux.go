package confine

// rule says what is done with a system call.
type rule uint8

const (
	allow         rule = iota
	eperm              // refused, as a caller without the privilege is
	enosys             // refused, as by a kernel that does not have it
	nested             // eperm, but allowed with Options.Nesting
	hidden             // enosys, but allowed with Options.Nesting or Options.Clone3
	cloned             // allowed without flags for name spaces; all with Options.Nesting
	unshared           // the same
	families           // only usual families of sockets
	terminals          // not what types into a terminal or changes its kind
	personalities      // only usual ones
	contexts           // enosys, but allowed with Options.AIO
	descriptors        // only what concerns a descriptor itself, and no signals by it
	own                // only of the process itself
	threads            // only a thread of the process itself
	passive            // not memory that is executed
)

// call is a system call that is not simply allowed, with its numbers; -1 where an architecture does
// not have it.
type call struct {
	name         string
	amd64, arm64 int16
	rule         rule
}

// calls lists all that are not allowed to everybody. What is in neither this list nor the ranges of
// known numbers does not exist: ENOSYS, so that programs fall back, and a call that a later kernel
// adds is first judged here.
func calls() []call {
	return []call{
		// mounts
		{"mount", 165, 40, nested},
		{"umount2", 166, 39, nested},
		{"pivot_root", 155, 41, nested},
		{"open_tree", 428, 428, nested},
		{"open_tree_attr", 467, 467, nested},
		{"move_mount", 429, 429, nested},
		{"fsopen", 430, 430, nested},
		{"fsconfig", 431, 431, nested},
		{"fsmount", 432, 432, nested},
		{"fspick", 433, 433, nested},
		{"mount_setattr", 442, 442, nested},
		// name spaces; the flags of clone3 are in memory, where a filter cannot look: without it,
		// libraries fall back to clone
		{"clone", 56, 220, cloned},
		{"unshare", 272, 97, unshared},
		{"clone3", 435, 435, hidden},
		{"setns", 308, 268, nested},
		{"sethostname", 170, 161, nested},
		{"setdomainname", 171, 162, nested},
		// the kernel itself and the whole machine
		{"kexec_load", 246, 104, eperm},
		{"kexec_file_load", 320, 294, eperm},
		{"init_module", 175, 105, eperm},
		{"finit_module", 313, 273, eperm},
		{"delete_module", 176, 106, eperm},
		{"reboot", 169, 142, eperm},
		{"swapon", 167, 224, eperm},
		{"swapoff", 168, 225, eperm},
		{"acct", 163, 89, eperm},
		{"quotactl", 179, 60, eperm},
		{"quotactl_fd", 443, 443, eperm},
		{"syslog", 103, 116, eperm},
		{"vhangup", 153, 58, eperm},
		{"iopl", 172, -1, eperm},
		{"ioperm", 173, -1, eperm},
		// clocks, which have no name space
		{"settimeofday", 164, 170, eperm},
		{"clock_settime", 227, 112, eperm},
		{"adjtimex", 159, 171, eperm},
		{"clock_adjtime", 305, 266, eperm},
		// programs in the kernel, and what looks into others
		{"bpf", 321, 280, eperm},
		{"perf_event_open", 298, 241, eperm},
		{"userfaultfd", 323, 282, eperm},
		{"fanotify_init", 300, 262, eperm},
		{"io_uring_setup", 425, 425, eperm},
		{"io_uring_enter", 426, 426, eperm},
		{"io_uring_register", 427, 427, eperm},
		{"migrate_pages", 256, 238, eperm},
		{"move_pages", 279, 239, eperm},
		{"listns", 470, 470, eperm},
		{"lookup_dcookie", 212, 18, eperm},
		// files by number instead of name: a way around the root directory
		{"open_by_handle_at", 304, 265, eperm},
		// keys belong to users, not to name spaces; as on a kernel without them
		{"add_key", 248, 217, enosys},
		{"request_key", 249, 218, enosys},
		{"keyctl", 250, 219, enosys},
		// contexts of asynchronous input and output: the machine has fs.aio-max-nr of
		// them, and no name space or control group divides these
		{"io_setup", 206, 0, contexts},
		// what only programs of 16 and 32 bits need, and those are not run
		{"modify_ldt", 154, -1, eperm},
		{"uselib", 134, -1, eperm},
		// what no kernel has any more, or only for old programs' sake
		{"_sysctl", 156, -1, enosys},
		{"create_module", 174, -1, enosys},
		{"get_kernel_syms", 177, -1, enosys},
		{"query_module", 178, -1, enosys},
		{"nfsservctl", 180, 42, enosys},
		{"getpmsg", 181, -1, enosys},
		{"putpmsg", 182, -1, enosys},
		{"afs_syscall", 183, -1, enosys},
		{"tuxcall", 184, -1, enosys},
		{"security", 185, -1, enosys},
		{"vserver", 236, -1, enosys},
		{"epoll_ctl_old", 214, -1, enosys},
		{"epoll_wait_old", 215, -1, enosys},
		{"set_thread_area", 205, -1, enosys},
		{"get_thread_area", 211, -1, enosys},
		{"sysfs", 139, -1, enosys},
		{"ustat", 136, -1, enosys},
		// those of which only some uses are refused
		{"socket", 41, 198, families},
		// the kernel makes both ends, and loads the family's module, before it asks whether the
		// family has pairs
		{"socketpair", 53, 199, families},
		{"ioctl", 16, 29, terminals},
		{"personality", 135, 92, personalities},
	}
}

// span is a range of numbers that are known.
type span struct{ first, last uint32 }

// known returns the ranges of numbers of calls that exist: between them a kernel has none.
func known(arch string) []span {
	if arch == "amd64" {
		return []span{{0, 336}, {424, 471}}
	}
	return []span{{0, 243}, {260, 294}, {424, 471}}
}
