package sandbox

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hostler-project/hostler/provider/catalog"
)

// treeRules limit the keys that a source in an untrusted tree may set.
func treeRules() []catalog.Rule {
	return append([]catalog.Rule{
		{Key: "image", Free: true, Values: "`host`, or a name of a public registry", Allows: publicImage,
			Why: "runs in a sandbox, which is what the built-in source does"},
		{Key: "upper", Free: true, Inert: true, Why: "says where hostler keeps what the sandbox writes"},
		{Key: "cores", Free: true, Inert: true, Why: "is a limit"},
		{Key: "memory", Free: true, Inert: true, Why: "is a limit"},
		{Key: "disk", Free: true, Inert: true, Values: "up to 16G", Allows: catalog.SizeUpTo(16 << 30), Why: "is a limit"},
		{
			Key: "pids", Free: true, Inert: true, Values: "up to 16384", Allows: catalog.UpTo(16384),
			Why: "is a limit, and that is what a sandbox has without it",
		},
		{Key: "network", Free: true, Values: "`none`, `nat`", Allows: catalog.AnyOf("none", "nat"),
			Why: "is no more than the built-in source has"},
		{
			Key: "egress", Free: true, Values: "`none`, `internet`, names that are not of an inner network",
			Allows: publicEgress, Why: "is no more than the internet, which a sandbox reaches without it",
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
			Key: "ptys", Free: true, Inert: true, Values: "up to 64", Allows: catalog.UpTo(64),
			Why: "is a limit, and that is what a sandbox has without it",
		},
		{Key: "aio", Why: "takes of what the machine's kernel has once"},
		{Key: "nesting", Why: "takes away a part of the sandbox's wall"},
	}, catalog.FewReady()...)
}

// imageName matches a registry's HOST/NAME:TAG@DIGEST, without a host or with a dot in it, and
// without a port.
var imageName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(
		`^(?:docker://)?(?:([a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z][a-z0-9-]*)/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?:@sha256:[0-9a-f]{64})?$`,
	)
})

// imageSchemes are the prefixes of names of files or of a daemon of this machine.
var imageSchemes = []string{"dir", "oci", "oci-archive", "docker-archive", "docker-daemon", "docker"}

// publicName matches a host's name, or *. and one, with or without ports.
var publicName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(?:\*\.)?((?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*)(?::[0-9]+(?:-[0-9]+)?)?$`)
})

// publicEgress reports whether a sandbox connects to nothing but the internet.
func publicEgress(value string) bool {
	return !slices.ContainsFunc(strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == '\n' }), func(entry string) bool {
		entry = strings.TrimSpace(entry)
		word, _, _ := strings.Cut(entry, ":")
		if entry == "" || entry == "none" || word == "internet" {
			return false
		}
		m := publicName().FindStringSubmatch(entry)
		return m == nil || innerName(m[1])
	})
}

// innerName reports whether a host's name means this machine or its own network.
func innerName(host string) bool {
	return slices.ContainsFunc(inner, func(end string) bool { return strings.HasSuffix(host, end) })
}

// inner are ends of host names that mean this machine or its own network.
var inner = []string{
	".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home", ".corp", ".private", ".arpa",
	".test",
}

// publicImage reports whether an image is this machine's own root as every sandbox has it, or a
// public registry's: no file of this machine and no address of its own network.
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
