package arsenal_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hostler-project/hostler/director/arsenal"
)

const whole = `# a comment
[DEFAULT]
log_file = /var/log/arsenal.log
[director]
scout = onmetal_scout.OnMetalV2Scout
poll_spacing: 60
directive_spacing = 90
dry_run = True
cache_directive_rate_limit = 5
cache_directive_limiting_period = 600
eject_directive_rate_limit = 2
eject_directive_limiting_period = 30
log_statistics = no
; another
[strategy]
module_class = "simple_proportional_strategy.SimpleProportionalStrategy"
image_weights_filename = /etc/arsenal/weights.json
default_image_weight = 3
[simple_proportional_strategy]
percentage_to_cache = 0.3
[client_wrapper]
os_username = director
os_password = se$$cret
os_api_url = https://somebody:hidden@identity.example:5000/v3
os_tenant_name = metal
region_name = one
call_max_retries = 7
[nova]
region_name = two
[ironic]
admin_username = ironic
[glance]
api_version = 2
`

func TestWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "arsenal.conf")
	if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := arsenal.Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.PollSpacing != time.Minute || c.DirectiveSpacing != 90*time.Second || !c.DryRun || c.CacheLimit != 5 ||
		c.CachePeriod != 10*time.Minute || c.EjectLimit != 2 ||
		c.EjectPeriod != 30*time.Second || c.LogStatistics || c.WeightsFile != "/etc/arsenal/weights.json" || c.DefaultWeight != 3 || c.Share != 0.3 || len(c.Warnings) != 0 ||
		!c.Proportional() || c.Preset() != "onmetal-v2" {
		t.Errorf("c = %+v", c)
	}
	for _, s := range [][3]string{{"nova", "admin_username", "director"}, {"ironic", "admin_username", "ironic"},
		{"nova", "region_name", "two"}, {"glance", "region_name", "one"},
		{"ironic", "admin_password", "se$cret"}, {"glance", "api_endpoint", ""}, {"nova", "api_max_retries", "60"},
		{"client_wrapper", "call_max_retries", "7"}} {
		if got := c.Service(s[0], s[1]); got != s[2] {
			t.Errorf("%s %s: %q and not %q", s[0], s[1], got, s[2])
		}
	}
	ours := c.Hostler()
	for _, want := range []string{"\npoll-spacing = 1m\n", "\ndirective-spacing = 1m30s\n",
		"\ncache-directive-limiting-period = 10m\n", "\neject-directive-rate-limit = 2\n", "\ndry-run = yes\n",
		"\npercentage-to-cache = 0.3\n", "\nimage-weights-filename = /etc/arsenal/weights.json\n",
		"\npreset = onmetal-v2\n", "\n#   OS_USERNAME=ironic\n", "https://identity.example:5000/v3"} {
		if !strings.Contains(ours, want) {
			t.Errorf("no %q in\n%s", want, ours)
		}
	}
	for _, secret := range []string{"cret", "hidden"} {
		if strings.Contains(ours, secret) {
			t.Errorf("a secret is in\n%s", ours)
		}
	}
}

// TestUsual is what goes without saying.
func TestUsual(t *testing.T) {
	c, err := arsenal.Parse([]byte("[director]\nscout=devstack_scout.DevstackScout\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c.PollSpacing != 2*time.Minute || c.DirectiveSpacing != 2*time.Minute || c.DryRun || c.CacheLimit != 0 ||
		c.CachePeriod != 5*time.Minute || c.EjectLimit != 0 ||
		c.EjectPeriod != 5*time.Minute || !c.LogStatistics || c.WeightsFile != "" || c.DefaultWeight != 1 || c.Share != 0.125 || c.Preset() != "devstack" ||
		c.Service("nova", "auth_system") != "keystone" || c.Service("ironic", "api_max_retries") != "60" {
		t.Errorf("c = %+v", c)
	}
}

func TestWrong(t *testing.T) {
	for _, c := range []struct{ text, says string }{
		{"", "scout in [director] is required"},
		{
			"[director]\nscout = x\n[simple_proportional_strategy]\npercentage_to_cache = 1.5\n",
			`line 4: percentage_to_cache in [simple_proportional_strategy] "1.5": not a share`,
		},
		{"[simple_proportional_strategy]\npercentage_to_cache = nan\n[director]\nscout=x", "not a share"},
		{"[director]\nscout = x\npoll_spacing = 0\n", `line 3: poll_spacing in [director] "0": not a whole number from 1 on`},
		{"[director]\nscout = x\ncache_directive_rate_limit = -1\n", "not a whole number from 0 on"},
		{"[director]\nscout = x\ndry_run = perhaps\n", `"perhaps": neither true nor false`},
		{"[strategy]\ndefault_image_weight = heavy\n", `line 2: default_image_weight in [strategy] "heavy"`},
		{"[nova]\napi_max_retries = many\n", "api_max_retries in [nova]"},
		{"[director\nscout = x\n", "line 1: a section is written [name]"},
		{"[director]\nscout\n", "line 2: neither a section"},
		{"[director]\n= x\n", "line 2: there is no key before ="},
		{"  scout = x\n", "line 1: it goes on with nothing"},
		{"[director]\nscout = \xff\n", "line 2: it is not text"},
	} {
		_, err := arsenal.Parse([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: err = %v; want an error and err.Error() with c.says", c.text, err)
		}
	}
	if _, err := arsenal.Read(filepath.Join(t.TempDir(), "nowhere.conf")); err == nil {
		t.Error("a file that is not there was read")
	}
}

// TestUnknown keeps Arsenal's own ease: what it does not know is a warning.
func TestUnknown(t *testing.T) {
	c, err := arsenal.Parse(
		[]byte("[director]\nscout = x.Y\nscout =\n  z.\n  Z\npoll_spaceing = 5\n[directr]\na = b\n[nova]\nadmin_password = a$b\n"),
	)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"line 6: poll_spaceing in [director] is not Arsenal's; did you mean poll_spacing?",
		"line 8: section [directr] is not Arsenal's; did you mean director?",
		"line 10: admin_password in [nova] has a $ that refers to nothing; $$ stands for one"}
	if strings.Join(c.Warnings, "\n") != strings.Join(want, "\n") {
		t.Errorf("c.Warnings = %q; want strings.Join(c.Warnings, \"\\n\") == strings.Join(want, \"\\n\")", c.Warnings)
	}
	if c.Scout != "z.\nZ" || c.Preset() != "" || !strings.Contains(c.Hostler(), "# Arsenal's scout was z. Z, which no preset stands for") {
		t.Errorf(
			"c.Scout = %q\nc.Hostler() = %s"+
				"; want c.Scout == \"z.\\nZ\" and c.Preset() == \"\" and c.Hostler() with \"# Arsenal's scout "+
				`was z. Z, which no preset stands for"`,
			c.Scout, c.Hostler(),
		)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte("[director]\nscout = x\n  y\n[a:b]\nc: d\n'\n=\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := arsenal.Parse(data)
		if err != nil {
			return
		}
		for _, line := range strings.Split(c.Hostler(), "\n") {
			if line != "" && line[0] != '#' && line[0] != '[' && !strings.Contains(line, " = ") {
				t.Errorf("%q is in what is written", line)
			}
		}
	})
}
