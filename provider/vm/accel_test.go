//go:build linux

package vm_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/vm"
)

// TestAccel lets hostler find out by booting whether KVM works: whatever it finds, the machine
// starts by it, and it is not tried twice.
func TestAccel(t *testing.T) {
	o := lab(t)
	o.Accel, o.Dir = "auto", filepath.Join(t.TempDir(), "state")
	p := open(t, o)
	create(t, p, "suite-1")
	all, err := p.List(t.Context())
	if err != nil || len(all) != 1 || all[0].Facts["accel"] == "" {
		t.Fatalf(`all = %v, err = %v; want no error and len(all) == 1 and all[0].Facts["accel"] != ""`, all, err)
	}
	t.Logf("accel %s", all[0].Facts["accel"])
	facts, _ := filepath.Glob(filepath.Join(o.Dir, "facts", "kvm-*"))
	if _, err := os.Stat("/dev/kvm"); err == nil && len(facts) != 1 {
		t.Errorf("known about KVM: %v", facts)
	}
	for _, f := range facts { // what is known is believed
		if err := os.WriteFile(f, []byte(`{"works":false,"why":"a test says so"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	began := time.Now()
	if _, err := open(t, o).Create(t.Context(), compute.Spec{ID: "suite-2"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { destroy(t, p, "suite-2") })
	t.Log("the second took", time.Since(began))
	if all, err = p.List(t.Context()); err != nil || len(all) != 2 || all[1].Facts["accel"] != "tcg" {
		t.Errorf(`all = %+v, err = %v; want no error and len(all) == 2 and all[1].Facts["accel"] == "tcg"`, all, err)
	}
}

// TestExamine tells of this machine, trying KVM with a kernel.
func TestExamine(t *testing.T) {
	o := lab(t)
	for _, o := range []vm.Options{{}, {Kernel: o.Kernel, Initrd: o.Initrd, Agent: o.Agent}} {
		found := map[string]compute.Finding{}
		for _, f := range vm.Examine(t.Context(), o) {
			found[f.What] = f
			if f.Detail == "" || (f.Result == "warn" || f.Result == "fail") && f.Hint == "" && f.What != "vm: KVM" {
				t.Errorf(
					"f = %+v"+
						`; want f.Detail != "" and (f.Result != "warn" and f.Result != "fail" or f.Hint != "" or `+
						`f.What == "vm: KVM")`,
					f,
				)
			}
		}
		if found["vm: qemu"].Result != "ok" || found["vm: KVM"].Result == "" || found["vm: qemu-img"].Result == "" {
			t.Errorf(
				"found = %+v"+
					`; want found["vm: qemu"].Result == "ok" and found["vm: KVM"].Result != "" and found["vm: `+
					`qemu-img"].Result != ""`,
				found,
			)
		}
		if f, tried := found["vm: qemu's jail"]; tried != (o.Agent != nil) || tried && f.Result != "ok" && os.Geteuid() == 0 {
			t.Errorf("its jail: %+v", f)
		}
		t.Logf("%+v", found["vm: KVM"])
	}
}
