package node_test

import (
	"os"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/slapos/node"
	"github.com/hostler-project/hostler/slapos/proto"
)

// TestEntryPoint has an image's entry point as the one program of etc/service, another one when
// parameters change.
func TestEntryPoint(t *testing.T) {
	l := newLab(t, 1)
	dir := l.Release(
		"oci://image",
		map[string]string{
			".hostler-release": "{}", ".completed": "now",
			".hostler-entrypoint": `{"argv": ["serve", "it's"], "env": ["A=b"], "dir": "/"}`,
		},
	)
	names := func() []string {
		entries, err := os.ReadDir(l.At("p0", "etc/service"))
		do(t, err)
		var out []string
		for _, e := range entries {
			out = append(out, e.Name())
		}
		return out
	}
	l.ask("demo", "oci://image", proto.Stopped, proto.Dictionary{"port": "1"})
	l.run(0, node.Options{})
	first := names()
	if len(first) != 1 || !strings.HasPrefix(first[0], "entrypoint-") {
		t.Fatalf(`first = %q; want len(first) == 1 and strings.HasPrefix(first[0], "entrypoint-")`, first)
	}
	if text := l.Read("p0", "etc/service/"+first[0]); !strings.Contains(text, dir+"/rootfs") ||
		!strings.Contains(text, "port=1") || !strings.Contains(text, l.At("p0")+"/var/image") {
		t.Errorf(`text = %s; want text with dir + "/rootfs" and text with "port=1" and text with l.At("p0") + "/var/image"`, text)
	}
	l.ask("demo", "oci://image", proto.Stopped, proto.Dictionary{"_": `{"port": 2}`})
	l.run(0, node.Options{})
	if second := names(); len(second) != 1 || second[0] == first[0] || !strings.Contains(l.Read("p0", "etc/service/"+second[0]), "port=2") {
		t.Errorf(
			"second = %q"+
				`; want len(second) == 1 and second[0] != first[0] and l.Read("p0", `+
				`"etc/service/"+second[0]) with "port=2"`,
			second,
		)
	}
}
