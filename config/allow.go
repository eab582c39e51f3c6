package config

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/text/units"
)

// Decision says whether a tree may set a key of a source without the user's approval, and why.
// A key that no decision allows waits for approval, whatever it is.
type Decision struct {
	Type string // of the source; "*": any type
	// at the top or in the type's section; "*": all keys of the type, and the type itself
	Key    string
	Free   bool   // a tree may set it unasked; else it waits for approval
	Values string // the values that are free, in words; "": all
	Why    string // why it is safe, or what it does

	free  func(value string) bool // which values are free; nil: all
	inert bool                    // it may change below an approval of other keys too
}

// mostReady is how many computers a tree may have kept ready unasked.
const mostReady = 4

// mostDisk is how much disk a tree's sandbox may have unasked.
const mostDisk = 16 << 30

// decisions is the only place that says what a tree may do unasked. docs/trust.md shows it.
var decisions = slices.Concat([]Decision{
	{Type: "local", Key: "*", Why: "runs commands on this machine"},
	{Type: "chroot", Key: "*", Why: "runs programs of a directory on this machine as root"},
	{Type: "ssh", Key: "*", Why: "sends commands and what they are given to another host, with your keys"},
	{Type: "container", Key: "*", Why: "has this machine's container engine act for you, with your logins"},
	{Type: "vm", Key: "*", Why: "has this machine run qemu, with files and a network of this machine"},
	{Type: "openstack", Key: "*", Why: "makes servers in a cloud with your credentials"},
	{Type: "ironic", Key: "*", Why: "takes bare-metal nodes with your credentials"},
	{Type: "ec2", Key: "*", Why: "makes servers in a cloud with your credentials"},
	{Type: "kubernetes", Key: "*", Why: "makes pods, as you, in the cluster that your kubeconfig leads to"},

	{Type: "*", Key: "ttl", Free: true, inert: true, Why: "ends leases"},
	{Type: "*", Key: "max-ttl", Free: true, inert: true, Why: "ends leases"},
	{Type: "*", Key: "lease-idle", Free: true, inert: true, Why: "ends leases"},
	{Type: "*", Key: "idle", Free: true, inert: true, Why: "discards computers that nobody uses"},
	{Type: "*", Key: "max-age", Free: true, inert: true, Why: "discards computers"},
	{Type: "*", Key: "max-uses", Free: true, inert: true, Why: "discards computers"},
	{Type: "*", Key: "maximum", Free: true, inert: true, Why: "is a limit"},
	{Type: "*", Key: "concurrency", Free: true, inert: true, Why: "is a limit"},
	{Type: "*", Key: "parallel", Free: true, inert: true, Why: "is a limit"},
	{Type: "*", Key: "budget", Free: true, inert: true, Why: "is a limit"},
	{Type: "*", Key: "price", Free: true, inert: true, Why: "is a number that is shown and counted"},
	{Type: "*", Key: "dry-run", Free: true, inert: true, Why: "has a controller do nothing"},
	{Type: "*", Key: "share", Free: true, inert: true, Why: "puts your own leases side by side"},
	{Type: "*", Key: "reuse", Free: true, inert: true, Why: "says how a computer is given to you again"},
	{Type: "*", Key: "on-failure", Free: true, inert: true, Why: "says what becomes of a computer that failed"},
	{Type: "*", Key: "auto-confirm-dead", Free: true, inert: true, Why: "says what becomes of a computer that failed"},
	{Type: "*", Key: "hook-timeout", Free: true, inert: true, Why: "ends hooks, which themselves wait for approval"},
	{Type: "*", Key: "bundles", Why: "puts files, some of them yours, on the computers"},
	{Type: "*", Key: "build", Why: "makes images of your bundles"},
	{Type: "*", Key: "flavor", Why: "chooses what computers cost"},
	{Type: "*", Key: "strategy", Why: "has a controller make computers ahead of need"},
	{Type: "*", Key: "hit-rate", Why: "has a controller make computers ahead of need"},
	{Type: "*", Key: "window", Why: "has a controller make computers ahead of need"},
	{Type: "*", Key: "cold", Why: "has a controller keep stopped computers"},
	{Type: "*", Key: "projects", Why: "says whose the source is at a controller"},
}, waits(
	"*", "says what requests may choose", "images", "flavors", "locations", "user-data", "max-cores", "max-memory",
	"max-disk", "max-gpus",
), []Decision{
	{
		Type: "pool", Key: "sources", Free: true, Values: "sources of the same tree that need no approval",
		Why: "is but another name for them",
	},
	{Type: "pool", Key: "image", Why: "gives its sources another image"},
}, onlyFrom("sandbox", []Decision{
	{Key: "image", Free: true, Values: "`host`, or a name of a public registry", free: publicImage,
		Why: "runs in a sandbox, which is what the built-in source does"},
	{Key: "upper", Free: true, inert: true, Why: "says where hostler keeps what the sandbox writes"},
	{Key: "cores", Free: true, inert: true, Why: "is a limit"},
	{Key: "memory", Free: true, inert: true, Why: "is a limit"},
	{Key: "disk", Free: true, inert: true, Values: "up to 16G", free: sizeUpTo(mostDisk), Why: "is a limit"},
	{
		Key: "pids", Free: true, inert: true, Values: "up to 16384", free: numberUpTo(16384),
		Why: "is a limit, and that is what a sandbox has without it",
	},
	{Key: "network", Free: true, Values: "`none`, `nat`", free: anyOf("none", "nat"), Why: "is no more than the built-in source has"},
	{
		Key: "egress", Free: true, Values: "`none`, `internet`, names that are not of an inner network",
		free: publicEgress, Why: "is no more than the internet, which a sandbox reaches without it",
	},
	{Key: "hide", Free: true, Why: "takes paths away"},
	{Key: "user", Free: true, Why: "chooses among the users of the sandbox"},
	{Key: "entrypoint", Free: true, Why: "runs a program of the image in the sandbox"},
	{Key: "ports", Why: "opens ports of this machine"},
	{Key: "mounts", Why: "shows directories of this machine to what runs there"},
	{Key: "tree", Why: "shows directories of this machine to what runs there"},
	{Key: "show", Why: "shows what sandboxes hide: your keys and secrets"},
	{Key: "writable", Why: "lets what runs there write what programs of this machine run"},
	{
		Key: "ptys", Free: true, inert: true, Values: "up to 64", free: numberUpTo(64),
		Why: "is a limit, and that is what a sandbox has without it",
	},
	{Key: "aio", Why: "takes of what the machine's kernel has once"},
	{Key: "nesting", Why: "takes away a part of the sandbox's wall"},
}), onlyFrom("fake", []Decision{
	{Key: "image", Free: true, Why: "names nothing real"},
	{Key: "flavor", Free: true, Why: "names nothing real"},
	{
		Key: "run", Free: true, Values: "`reply`", free: anyOf("", "reply"),
		Why: "runs nothing; `exec` and `home` run commands on this machine",
	},
}, free("is pretended", "boot", "create-time", "destroy-time", "clean-time", "fail-create", "fail-destroy", "fail-connect", "fail-clean",
	"capacity", "reply", "cores", "memory", "disk", "gpus", "images", "flavors", "locations", "user-data", "seed", "state")),
	onlyFrom("pool", kept()), onlyFrom("sandbox", kept()), onlyFrom("fake", kept()))

// kept are the keys by which computers are made before anybody asks.
func kept() []Decision {
	few := numberUpTo(mostReady)
	values := "up to " + strconv.Itoa(mostReady)
	return []Decision{
		{Key: "reserve", Free: true, inert: true, Values: values, free: few, Why: "keeps few computers ready"},
		{Key: "spare", Free: true, inert: true, Values: values, free: few, Why: "keeps few computers ready"},
	}
}

// bound are the types of which every key counts once a source of theirs is approved: each can cost
// money.
var bound = []string{"openstack", "ironic", "ec2", "kubernetes"}

func onlyFrom(typ string, lists ...[]Decision) []Decision {
	out := slices.Concat(lists...)
	for i := range out {
		out[i].Type = typ
	}
	return out
}

func waits(typ, why string, keys ...string) (out []Decision) {
	for _, key := range keys {
		out = append(out, Decision{Type: typ, Key: key, Why: why})
	}
	return out
}

func free(why string, keys ...string) (out []Decision) {
	for _, key := range keys {
		out = append(out, Decision{Key: key, Free: true, inert: true, Why: why})
	}
	return out
}

// Decisions returns the table of what a tree may set in a source.
func Decisions() []Decision { return slices.Clone(decisions) }

// DecisionOn returns what is decided on a key of a type of source: its own word goes before one on
// all of the type, and that before one on any type.
func DecisionOn(typ, key string) (Decision, bool) {
	for _, at := range [][2]string{{typ, key}, {typ, "*"}, {"*", key}} {
		for _, d := range decisions {
			if d.Type == at[0] && foldKey(d.Key) == foldKey(at[1]) {
				return d, true
			}
		}
	}
	return Decision{}, false
}

// MayChange reports whether another free value of the key asks nothing again where other keys of
// the source were approved.
func (d Decision) MayChange() bool { return d.inert }

// TopKeys returns what may stand at the top of a source of a type.
func TopKeys(typ string) []string { return slices.Clone(topKeys(typ)) }

// freeType reports whether a tree may have sources of a type unasked: where something of its own is
// free.
func freeType(typ string) bool {
	return slices.ContainsFunc(decisions, func(d Decision) bool { return d.Type == typ && d.Free })
}

// unasked reports whether a tree may give a key that value.
func (d Decision) unasked(value string) bool {
	_, refers := referred(value)
	return d.Free && !refers && (d.free == nil || d.free(value))
}

// changes reports whether another value of the key changes what was approved of a source.
func changes(typ, key, value string) bool {
	if _, refers := referred(value); refers || slices.Contains(bound, typ) {
		return true
	}
	if d, ok := DecisionOn(typ, key); ok && d.Key != "*" {
		return !d.inert || !d.unasked(value)
	}
	for _, d := range decisions {
		if d.Type == "*" && foldKey(d.Key) == foldKey(key) {
			return !d.inert
		}
	}
	return true
}

func anyOf(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, value) }
}

func numberUpTo(most int) func(string) bool {
	return func(value string) bool {
		n, err := strconv.Atoi(value)
		return err == nil && n >= 0 && n <= most
	}
}

func sizeUpTo(most int64) func(string) bool {
	return func(value string) bool {
		n, err := units.ParseSize(value)
		return err == nil && n >= 0 && n <= most
	}
}

// imageName is HOST/NAME:TAG@DIGEST of a registry, the host left away or with a dot in it, and no
// port.
var imageName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`^(?:docker://)?(?:([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*)/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?:@sha256:[0-9a-f]{64})?$`,
	)
})

// imageSchemes begin names that lead to files or to a daemon of this machine.
var imageSchemes = []string{"dir", "oci", "oci-archive", "docker-archive", "docker-daemon", "docker"}

// publicName is a name of a host, or *. and one, with ports or without.
var publicName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:\*\.)?((?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*)(?::[0-9]+(?:-[0-9]+)?)?$`)
})

// publicEgress reports whether a sandbox goes nowhere but to the internet.
func publicEgress(value string) bool {
	return !slices.ContainsFunc(list(value), func(entry string) bool {
		word, _, _ := strings.Cut(entry, ":")
		if entry == "none" || word == "internet" {
			return false
		}
		m := publicName().FindStringSubmatch(entry)
		return m == nil || innerName(m[1])
	})
}

// innerName reports whether a name of a host means this machine or its own network.
func innerName(host string) bool {
	return slices.ContainsFunc(inner, func(end string) bool { return strings.HasSuffix(host, end) })
}

// inner are ends of host names that mean this machine or its own network.
var inner = []string{
	".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".arpa",
	".test",
}

// publicImage reports whether an image is this machine's own root as every sandbox has it, or of a
// registry outside: no file of this machine and no address of its own network.
func publicImage(image string) bool {
	if image == "" || image == "host" {
		return true
	}
	m := imageName().FindStringSubmatch(image)
	if m == nil || strings.Contains(image, "..") || strings.Contains(strings.TrimPrefix(image, "docker://"), "//") {
		return false
	}
	for _, end := range []string{".tar", ".tgz", ".gz", ".zst", ".xz", ".bz2"} {
		if strings.HasSuffix(image, end) {
			return false // a file of that name may exist
		}
	}
	if scheme, _, cut := strings.Cut(image, ":"); cut && slices.Contains(imageSchemes, scheme) && !strings.HasPrefix(image, "docker://") {
		return false
	}
	host, _, more := strings.Cut(strings.TrimPrefix(image, "docker://"), "/")
	if more && m[1] == "" && (host == "localhost" || strings.ContainsAny(host, ".:")) {
		return false
	}
	return !innerName(m[1])
}
