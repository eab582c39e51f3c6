package arsenal

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Hostler writes the same as parts of a hostler.conf, with what has no equivalent in comments. There is no secret in it: what were passwords are OS_ variables now.
func (c *Conf) Hostler() string {
	var b strings.Builder
	line := func(format string, v ...any) { fmt.Fprintf(&b, format+"\n", v...) }
	from := c.File
	if from == "" {
		from = "an arsenal.conf"
	}
	line("# from %s", oneLine(from))
	for _, w := range c.Warnings {
		line("# %s", oneLine(w))
	}
	line("[director.metal]")
	line("scout = ironic")
	set := func(key string, v any) { line("%s = %v", key, v) }
	set("poll-spacing", span(c.PollSpacing))
	set("directive-spacing", span(c.DirectiveSpacing))
	set("cache-directive-rate-limit", c.CacheLimit)
	set("cache-directive-limiting-period", span(c.CachePeriod))
	set("eject-directive-rate-limit", c.EjectLimit)
	set("eject-directive-limiting-period", span(c.EjectPeriod))
	set("log-statistics", yes(c.LogStatistics))
	set("dry-run", yes(c.DryRun))
	if !c.Proportional() {
		line("# Arsenal's strategy was %s: write it as an executable hostler-strategy-NAME, and say strategy = NAME", oneLine(c.Strategy))
	}
	line("")
	line("[director.metal.strategy]")
	set("percentage-to-cache", strconv.FormatFloat(c.Share, 'g', -1, 64))
	set("default-image-weight", c.DefaultWeight)
	if c.WeightsFile != "" {
		set("image-weights-filename", oneLine(c.WeightsFile))
	}
	line("")
	line("[director.metal.scout]")
	if p := c.Preset(); p != "" {
		set("preset", p)
	} else {
		line("# Arsenal's scout was %s, which no preset stands for: say which images and nodes are meant by rules", oneLine(c.Scout))
	}
	line("# Who hostler is to OpenStack stands in clouds.yaml (cloud = NAME), or in these variables:")
	for _, v := range []struct{ name, key, service string }{{"OS_AUTH_URL", "admin_url", "ironic"}, {"OS_USERNAME", "admin_username", "ironic"}, {"OS_PROJECT_NAME", "admin_tenant_name", "ironic"},
		{"OS_REGION_NAME", "region_name", "nova"}} {
		value := c.Service(v.service, v.key)
		if v.key == "admin_url" && value == "" {
			value = c.Service("nova", v.key)
		}
		if value != "" {
			line("#   %s=%s", v.name, oneLine(withoutUser(value)))
		}
	}
	if c.Service("ironic", "admin_password") != "" || c.Service("nova", "admin_password") != "" {
		line("#   OS_PASSWORD, which is not written here")
	}
	return b.String()
}

// withoutUser takes the user and password out of a URL.
func withoutUser(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	host, path, slash := strings.Cut(rest, "/")
	if i := strings.LastIndex(host, "@"); i >= 0 {
		host = host[i+1:]
	}
	if slash {
		host += "/" + path
	}
	return scheme + "://" + host
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// span is a duration as hostler.conf has it.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
