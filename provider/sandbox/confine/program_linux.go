package confine

import (
	"cmp"
	"slices"

	"golang.org/x/sys/unix"
)

// What the filter may answer; the low 16 bits of retErrno are the error.
const (
	retAllow uint32 = 0x7fff0000
	retErrno uint32 = 0x00050000
	retKill  uint32 = 0x80000000
)

// Codes of classic BPF.
const (
	load     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	ret      = unix.BPF_RET | unix.BPF_K
	jump     = unix.BPF_JMP | unix.BPF_JA
	jumpEq   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	jumpGe   = unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K
	jumpSet  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	atNumber = 0 // offsets in struct seccomp_data
	atArch   = 4
	atArg    = 16 // the low half of argument 0; each next one is 8 further
)

const (
	// spaces are the flags of clone for name spaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER,
	// NEWPID, NEWNET.
	spaces uint32 = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
	// newTime is one more for unshare; to clone it is part of a signal's number.
	newTime uint32 = 0x80
)

// permits are what rules ask for.
type permits struct {
	nesting, clone3, aio bool
	self                 uint32 // the process that may be signalled
}

// filter returns the seccomp program for an architecture as Go names it, or nil for one that has
// none.
//
// A binary search over the numbers finds the answer in about 8 comparisons. What depends on the
// number alone is looked at once by kernels since 5.11, which then do not run the program for it at
// all.
func filter(arch string, may permits) []unix.SockFilter { return filterOf(arch, segments(arch), may) }

// filterOf is the program for ranges of numbers.
func filterOf(arch string, s []segment, may permits) []unix.SockFilter {
	audit := uint32(unix.AUDIT_ARCH_X86_64)
	switch arch {
	case "amd64":
	case "arm64":
		audit = unix.AUDIT_ARCH_AARCH64
	default:
		return nil
	}
	program := make([]unix.SockFilter, 0, 256)
	program = append(program, unix.SockFilter{Code: load, K: atArch}, unix.SockFilter{Code: jumpEq, K: audit, Jt: 1},
		unix.SockFilter{Code: ret, K: retKill}, unix.SockFilter{Code: load, K: atNumber})
	return search(program, s, may)
}

// segment is the numbers from first to below the next segment's, which have one rule.
type segment struct {
	first uint32
	rule  rule
}

// segments cuts all numbers into ranges of one rule each. Numbers of x32 have bit 30 set, so they
// are beyond all that are known.
func segments(arch string) []segment {
	refused := calls()
	number := func(c call) uint32 {
		if arch == "arm64" {
			return uint32(int32(c.arm64))
		}
		return uint32(int32(c.amd64))
	}
	refused = slices.DeleteFunc(refused, func(c call) bool { return int32(number(c)) < 0 })
	slices.SortFunc(refused, func(a, b call) int { return cmp.Compare(number(a), number(b)) })

	out := []segment{{0, enosys}}
	from := func(n uint32, r rule) {
		switch last := &out[len(out)-1]; {
		case last.rule == r:
		case last.first == n:
			last.rule = r
			if len(out) > 1 && out[len(out)-2].rule == r {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, segment{n, r})
		}
	}
	i := 0
	for _, s := range known(arch) {
		from(s.first, allow)
		for ; i < len(refused) && number(refused[i]) <= s.last; i++ {
			from(number(refused[i]), refused[i].rule)
			from(number(refused[i])+1, allow)
		}
		from(s.last+1, enosys)
	}
	return out
}

// search appends the binary search over segments, the number being loaded.
func search(out []unix.SockFilter, s []segment, may permits) []unix.SockFilter {
	if len(s) == 1 {
		return s[0].rule.append(out, may)
	}
	half, test := len(s)/2, len(out)
	out = search(append(out, unix.SockFilter{Code: jumpGe, K: s[half].first}), s[:half], may)
	if far := len(out) - test - 1; far <= 255 {
		out[test].Jt = uint8(far)
	} else { // further than a comparison can jump
		out[test].Jf = 1
		out = slices.Insert(out, test+1, unix.SockFilter{Code: jump, K: uint32(far)})
	}
	return search(out, s[half:], may)
}

// append appends what is done for a call of a rule.
func (r rule) append(out []unix.SockFilter, may permits) []unix.SockFilter {
	const yes, no = retAllow, retErrno | uint32(unix.EPERM)
	if may.nesting && (r == nested || r == cloned || r == unshared) || may.clone3 && r == hidden || may.aio && r == contexts {
		r = allow
	}
	switch r {
	case allow:
		return append(out, unix.SockFilter{Code: ret, K: yes})
	case enosys, hidden, contexts:
		return append(out, unix.SockFilter{Code: ret, K: retErrno | uint32(unix.ENOSYS)})
	case cloned:
		return flags(out, spaces)
	case unshared:
		return flags(out, spaces|newTime)
	case families:
		return oneOf(
			out, 0, yes, retErrno|uint32(unix.EAFNOSUPPORT), unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK,
			unix.AF_PACKET,
		)
	case terminals:
		return oneOf(out, 1, no, yes, unix.TIOCSTI, tiocLinux, unix.TIOCSETD)
	case personalities:
		// Linux, for 32 bits, as an old kernel calls itself (setarch --uname-2.6), without random
		// addresses (gdb), and the question
		return oneOf(out, 0, yes, no, 0, 0x8, 0x20000, 0x20008, 0x40000, 0xffffffff)
	case descriptors:
		// F_SETFL without O_ASYNC: a descriptor that signals may signal whomever it was told
		return oneOf(
			append(out, unix.SockFilter{Code: load, K: atArg + 8}, unix.SockFilter{Code: jumpEq, K: unix.F_SETFL, Jf: 4},
				unix.SockFilter{Code: load, K: atArg + 8*2}, unix.SockFilter{Code: jumpSet, K: unix.O_ASYNC, Jt: 1},
				unix.SockFilter{Code: ret, K: yes}, unix.SockFilter{Code: ret, K: no}),
			1, yes, no, unix.F_GETFD, unix.F_SETFD, unix.F_GETFL, unix.F_DUPFD_CLOEXEC,
		)
	case own:
		return oneOf(out, 0, yes, no, may.self)
	case threads:
		return append(out, unix.SockFilter{Code: load, K: atArg}, unix.SockFilter{Code: jumpSet, K: unix.CLONE_THREAD, Jf: 1},
			unix.SockFilter{Code: ret, K: yes}, unix.SockFilter{Code: ret, K: no})
	case passive:
		return append(out, unix.SockFilter{Code: load, K: atArg + 8*2}, unix.SockFilter{Code: jumpSet, K: unix.PROT_EXEC, Jt: 1},
			unix.SockFilter{Code: ret, K: yes}, unix.SockFilter{Code: ret, K: no})
	}
	return append(out, unix.SockFilter{Code: ret, K: no}) // eperm, nested
}

// flags allows what has none of the flags in its first argument.
func flags(out []unix.SockFilter, mask uint32) []unix.SockFilter {
	return append(out, unix.SockFilter{Code: load, K: atArg}, unix.SockFilter{Code: jumpSet, K: mask, Jt: 1},
		unix.SockFilter{Code: ret, K: retAllow}, unix.SockFilter{Code: ret, K: retErrno | uint32(unix.EPERM)})
}

// oneOf answers with is when an argument is one of the values, else with other. The kernel looks at
// the low half of these arguments only, too.
func oneOf(out []unix.SockFilter, arg, is, other uint32, values ...uint32) []unix.SockFilter {
	out = append(out, unix.SockFilter{Code: load, K: atArg + 8*arg})
	for i, v := range values {
		out = append(out, unix.SockFilter{Code: jumpEq, K: v, Jt: uint8(len(values) - i)})
	}
	return append(out, unix.SockFilter{Code: ret, K: other}, unix.SockFilter{Code: ret, K: is})
}

const tiocLinux = 0x541c
