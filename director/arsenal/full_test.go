package arsenal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hostler-project/hostler/director/arsenal"
)

// full has each option that Arsenal knew, with a value that is no other's.
var full = []struct{ section, options string }{
	{"director", "scout=arsenal.director.onmetal_scout.OnMetalV1Scout poll_spacing=61 directive_spacing=62 " +
		"dry_run=true cache_directive_rate_limit=3 cache_directive_limiting_period=64 " +
		"eject_directive_rate_limit=5 eject_directive_limiting_period=66 log_statistics=false"},
	{
		"strategy",
		"module_class=arsenal.strategy.simple_proportional_strategy.SimpleProportionalStrategy " +
			"image_weights_filename=/etc/weights.json default_image_weight=7",
	},
	{"simple_proportional_strategy", "percentage_to_cache=0.75"},
	{"client_wrapper", "os_username=user-w os_password=hidden-w os_auth_token=hidden-wt os_api_url=http://url-w/ " +
		"os_tenant_name=tenant-w os_tenant_id=id-w region_name=region-w service_name=name-w " +
		"auth_system=system-w call_max_retries=8 call_retry_interval=9"},
	{"nova", "admin_username=user-n admin_password=hidden-n admin_url=http://url-n/ admin_tenant_name=tenant-n " +
		"region_name=region-n service_name=name-n auth_plugin=plugin-n auth_plugin_obj=obj-n " +
		"client_log_level=10 api_version=11 auth_system=system-n api_max_retries=12 api_retry_interval=13"},
	{"ironic", "admin_username=user-i admin_password=hidden-i admin_auth_token=hidden-it admin_url=http://url-i/ " +
		"admin_tenant_name=tenant-i api_endpoint=http://end-i/ client_log_level=14 api_version=15 " +
		"api_max_retries=16 api_retry_interval=17"},
	{"glance", "admin_username=user-g admin_password=hidden-g admin_auth_token=hidden-gt admin_tenant_name=tenant-g " +
		"admin_tenant_id=id-g api_endpoint=http://end-g/ auth_endpoint=http://url-g/ " +
		"region_name=region-g client_log_level=18 api_version=19"},
}

// TestFull imports a file with all options: each is told with its line, as a key of ours or as a
// comment that says what became of it; what takes one's place where it is missing is not told.
func TestFull(t *testing.T) {
	var text strings.Builder
	line := 0
	var want []string
	for _, s := range full {
		fmt.Fprintf(&text, "[%s]\n", s.section)
		line++
		for _, o := range strings.Fields(s.options) {
			key, value, _ := strings.Cut(o, "=")
			fmt.Fprintf(&text, "%s = %s\n", key, value)
			line++
			if s.section != "client_wrapper" || strings.Contains(key, "retr") || key == "service_name" || key == "auth_system" {
				want = append(want, fmt.Sprintf("%s in [%s], line %d", key, s.section, line))
			}
		}
	}
	c, err := arsenal.Parse([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	ours := c.Hostler()
	for _, w := range want {
		if n := strings.Count(ours, w+"\n") + strings.Count(ours, w+": "); n != 1 {
			t.Errorf("%d times %q", n, w)
		}
	}
	for _, w := range []string{"poll-spacing = 1m1s", "directive-spacing = 1m2s", "cache-directive-rate-limit = 3",
		"cache-directive-limiting-period = 1m4s", "eject-directive-rate-limit = 5",
		"eject-directive-limiting-period = 1m6s", "log-statistics = no", "dry-run = yes", "percentage-to-cache = 0.75",
		"default-image-weight = 7", "image-weights-filename = /etc/weights.json",
		"preset = onmetal-v1", "#   OS_USERNAME=user-i", "#   OS_AUTH_URL=http://url-i/", "#   OS_PROJECT_NAME=tenant-i",
		"#   OS_REGION_NAME=region-n", "#   OS_PROJECT_ID=id-g"} {
		if strings.Count(ours, "\n"+w+"\n") != 1 {
			t.Errorf("no %q", w)
		}
	}
	if strings.Contains(ours, "hidden") || len(c.Warnings) > 0 || t.Failed() {
		t.Errorf("%q, and\n%s", c.Warnings, ours)
	}
}

// TestReferences are oslo.config's.
func TestReferences(t *testing.T) {
	c, err := arsenal.Parse([]byte(`[DEFAULT]
here = /etc/arsenal
half = 0.5
[director]
scout = devstack_scout.DevstackScout
directive_spacing = $poll_spacing
poll_spacing = 45
cache_directive_rate_limit = ${director.poll_spacing}
[strategy]
image_weights_filename = $here/weights.json
[simple_proportional_strategy]
percentage_to_cache = $half
[client_wrapper]
os_password = one$$two\$three
os_username = $ironic.admin_password
os_tenant_name = $nowhere-5$
os_api_url = ${here}.old/$here.new
[ironic]
admin_password = $client_wrapper.os_password
admin_username = $admin_tenant_name
admin_tenant_name = x$admin_username
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.DirectiveSpacing != c.PollSpacing || c.CacheLimit != 45 || c.WeightsFile != "/etc/arsenal/weights.json" || c.Share != 0.5 {
		t.Errorf(
			"c = %+v"+
				"; want c.DirectiveSpacing == c.PollSpacing and c.CacheLimit == 45 and c.WeightsFile == "+
				`"/etc/arsenal/weights.json" and c.Share == 0.5`,
			c,
		)
	}
	for _, s := range [][3]string{{"client_wrapper", "os_password", "one$two$three"},
		{"ironic", "admin_password", "one$two$three"}, {"client_wrapper", "os_username", "$ironic.admin_password"},
		{"client_wrapper", "os_tenant_name", "$nowhere-5$"},
		{"client_wrapper", "os_api_url", "/etc/arsenal.old//etc/arsenal.new"},
		{"ironic", "admin_username", "x$admin_username"}} {
		if got := c.Service(s[0], s[1]); got != s[2] {
			t.Errorf("%s in %s: %q and not %q", s[1], s[0], got, s[2])
		}
	}
	all := strings.Join(c.Warnings, "\n")
	for _, w := range []string{"line 15: os_username in [client_wrapper] refers to ironic.admin_password, which is a secret",
		"line 16: os_tenant_name in [client_wrapper] refers to nowhere, which is not there",
		"os_tenant_name in [client_wrapper] has a $ that refers to nothing", "refers to admin_username, which refers back to it"} {
		if !strings.Contains(all, w) {
			t.Errorf("no %q in\n%s", w, all)
		}
	}
	if strings.Contains(c.Hostler(), "three") {
		t.Errorf("a secret is in\n%s", c.Hostler())
	}
	// Doubled fifty times over it is not written out.
	var text strings.Builder
	text.WriteString("[DEFAULT]\na0 = x\n")
	for n := range 50 {
		fmt.Fprintf(&text, "a%d = $a%d$a%d\n", n+1, n, n)
	}
	if c, err = arsenal.Parse([]byte(text.String() + "[director]\nscout = $a50\n")); err != nil ||
		len(c.Scout) > 1<<20 || !strings.Contains(strings.Join(c.Warnings, "\n"), "too many references") {
		t.Errorf("%v, %d bytes, %d warnings", err, len(c.Scout), len(c.Warnings))
	}
}
