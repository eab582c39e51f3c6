package ironic_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// recordText is a node as the real Ironic lists one, with all fields that are asked for.
const recordText = `{"uuid": "%s", "name": "node-%s", "provision_state": "available", "target_provision_state": null, ` +
	`"power_state": "power off", "maintenance": false, ` +
	`"maintenance_reason": null, "instance_uuid": null, "reservation": null, "last_error": null, "properties": ` +
	`{"cpus": 8, "memory_mb": 32768, "local_gb": 480, "cpu_arch": "x86_64", ` +
	`"capabilities": "boot_mode:uefi,cpu_vt:true,cpu_aes:true"}, "driver_info": {"ipmi_address": "192.0.2.13", ` +
	`"ipmi_username": "root", "ipmi_password": "******", "deploy_kernel": ` +
	`"391777f5-6905-4aee-83d0-6f1c2ad65565", "deploy_ramdisk": "71620bf6-2f79-409e-9512-45b3e02469ff"}, "extra": ` +
	`{"rack": "a", "slot": 3}, "provision_updated_at": ` +
	`"2026-11-21T22:22:28+00:00", "resource_class": "baremetal.small", "traits": ["CUSTOM_NVME", "CUSTOM_RACK_A"], ` +
	`"fault": null, "conductor_group": "", "protected": false, ` +
	`"retired": false, "shard": null, "links": [{"href": "http://127.0.0.1:6385/v1/nodes/%s", "rel": "self"}, ` +
	`{"href": "http://127.0.0.1:6385/nodes/%s", "rel": "bookmark"}]}`

// fleet serves so many nodes, and takes little time for it: a page is a template with the numbers
// put in.
func fleet(t testing.TB, s *standin, size int) {
	const digits = 12
	type template struct {
		page []byte
		at   []int // where the numbers stand, and of which node they are
	}
	var mu sync.Mutex
	templates := map[string]template{} // by the fields that are asked for
	make := func(fields string) (page []byte, at []int) {
		mu.Lock()
		defer mu.Unlock()
		if t, ok := templates[fields]; ok {
			return t.page, t.at
		}
		id := uuid(0)
		all, some := map[string]any{}, map[string]any{}
		if err := json.Unmarshal(fmt.Appendf(nil, recordText, id, id, id, id), &all); err != nil {
			t.Error(err)
		}
		for _, f := range append(strings.Split(fields, ","), "links") {
			some[f] = all[f]
		}
		text, _ := json.Marshal(some)
		record := string(text)
		page = append(page, `{"nodes": [`...)
		for i := range 1000 {
			if i > 0 {
				page = append(page, ", "...)
			}
			for from := 0; ; {
				k := strings.Index(record[from:], id)
				if k < 0 {
					break
				}
				at = append(at, len(page)+from+k+len(id)-digits)
				from += k + len(id)
			}
			page = append(page, record...)
		}
		page = append(page, ']')
		templates[fields] = template{page, at}
		return page, at
	}
	s.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/v1/nodes") {
			return false
		}
		q := r.URL.Query()
		if strings.Contains(q.Get("fields"), "conductor,") {
			refuse(w, http.StatusInternalServerError, "type object 'Node' has no attribute 'conductor'")
			return true
		}
		if strings.Contains(q.Get("fields"), "allocation_uuid") {
			refuse(w, http.StatusInternalServerError, "type object 'Node' has no attribute 'allocation_uuid'")
			return true
		}
		first := 0
		if m := q.Get("marker"); m != "" {
			n, _ := strconv.Atoi(strings.TrimLeft(m[len(m)-digits:], "0"))
			first = n + 1
		}
		if first >= size {
			_, _ = w.Write([]byte(`{"nodes": []}`))
			return true
		}
		page, at := make(q.Get("fields"))
		b := slices.Clone(page)
		for i, offset := range at {
			copy(b[offset:], fmt.Appendf(nil, "%0*d", digits, first+i/(len(at)/1000)))
		}
		b = fmt.Appendf(b, `, "next": "%s/v1/nodes?limit=1000&marker=%s"}`, s.URL, uuid(first+999))
		_, _ = w.Write(b)
		return true
	})
}

// TestFleetTemplate holds what the benchmark reads against what it should have read.
func TestFleetTemplate(t *testing.T) {
	s := newStandin(t)
	fleet(t, s, 3000)
	sc := scout(t, s, nil)
	if _, err := sc.Images(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := nodes(t, sc)
	if len(all) != 3000 || all[2999].ID != uuid(2999) || all[0].Name != "node-"+uuid(0) || !all[1].Free() ||
		all[1].Flavor != "baremetal.small" || all[7].BMC == "" {
		t.Errorf("%d nodes, the last one %+v", len(all), all[len(all)-1])
	}
}

// BenchmarkRound reads 100,000 nodes over HTTP, the side that sends them included.
func BenchmarkRound(b *testing.B) {
	for _, size := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := newStandin(b)
			fleet(b, s, size)
			sc := scout(b, s, nil)
			if _, err := sc.Images(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if all := nodes(b, sc); len(all) != size {
					b.Fatalf("%d nodes", len(all))
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
		})
	}
}
