package arsenal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// credentials are the variables that tell OpenStack's own client its user, and the options they
// come from.
var credentials = []struct{ name, service, key string }{
	{"OS_AUTH_URL", ironic, "admin_url"}, {"OS_AUTH_URL", nova, "admin_url"}, {"OS_AUTH_URL", glance, "auth_endpoint"},
	{"OS_USERNAME", ironic, "admin_username"}, {"OS_USERNAME", nova, "admin_username"}, {"OS_USERNAME", glance, "admin_username"},
	{"OS_PASSWORD", ironic, "admin_password"}, {"OS_PASSWORD", nova, "admin_password"}, {"OS_PASSWORD", glance, "admin_password"},
	{"OS_TOKEN", ironic, "admin_auth_token"}, {"OS_TOKEN", glance, "admin_auth_token"},
	{"OS_PROJECT_NAME", ironic, "admin_tenant_name"}, {"OS_PROJECT_NAME", nova, "admin_tenant_name"},
	{"OS_PROJECT_NAME", glance, "admin_tenant_name"},
	{"OS_PROJECT_ID", glance, "admin_tenant_id"}, {"OS_REGION_NAME", nova, "region_name"}, {"OS_REGION_NAME", glance, "region_name"},
}

// without are the options of services without an equivalent in hostler, and why it needs none.
var without = map[string]string{
	"api_version": "the newest that both sides know is spoken", "api_endpoint": "endpoints are those of the catalog",
	"service_name": "endpoints are those of the catalog",
	"auth_system":  "it logs in at Keystone, version 3", "auth_plugin": "it logs in at Keystone, version 3",
	"auth_plugin_obj":  "it logs in at Keystone, version 3",
	"client_log_level": "see --log-level", "api_max_retries": "how often something is tried again is hostler's to know",
	"api_retry_interval":  "how often something is tried again is hostler's to know",
	"call_max_retries":    "how often something is tried again is hostler's to know",
	"call_retry_interval": "how often something is tried again is hostler's to know",
}

// Hostler returns the same configuration as parts of a hostler.conf. Above each key is the option
// that it comes from; options without an equivalent are in comments. It contains no secret:
// passwords become OS_ variables.
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
	set := func(key string, v any, option string) {
		line("# %s", c.origin(option))
		line("%s = %v", key, v)
	}
	line("[director.metal]")
	line("scout = ironic")
	set("poll-spacing", span(c.PollSpacing), "director.poll_spacing")
	set("directive-spacing", span(c.DirectiveSpacing), "director.directive_spacing")
	set("cache-directive-rate-limit", c.CacheLimit, "director.cache_directive_rate_limit")
	set("cache-directive-limiting-period", span(c.CachePeriod), "director.cache_directive_limiting_period")
	set("eject-directive-rate-limit", c.EjectLimit, "director.eject_directive_rate_limit")
	set("eject-directive-limiting-period", span(c.EjectPeriod), "director.eject_directive_limiting_period")
	set("log-statistics", yes(c.LogStatistics), "director.log_statistics")
	set("dry-run", yes(c.DryRun), "director.dry_run")
	if !c.Proportional() {
		line(
			"# %s: Arsenal's strategy was %s: write it as an executable hostler-strategy-NAME, and say strategy = NAME",
			c.origin("strategy.module_class"), oneLine(c.Strategy),
		)
	} else {
		line("# %s: the strategy is proportional, unless something else is said", c.origin("strategy.module_class"))
	}
	line("")
	line("[director.metal.strategy]")
	set("percentage-to-cache", strconv.FormatFloat(c.Share, 'g', -1, 64), "simple_proportional_strategy.percentage_to_cache")
	set("default-image-weight", c.DefaultWeight, "strategy.default_image_weight")
	if c.WeightsFile != "" {
		set("image-weights-filename", oneLine(c.WeightsFile), "strategy.image_weights_filename")
	}
	line("")
	line("[director.metal.scout]")
	if p := c.Preset(); p != "" {
		line("# %s: %s", c.origin("director.scout"), oneLine(c.Scout))
		line("preset = %s", p)
	} else {
		line("# Arsenal's scout was %s, which no preset stands for: say which images and nodes are meant by rules", oneLine(c.Scout))
	}
	line("# source = NAME: a source of type ironic, whose cloud is asked")
	line("# Who hostler is to OpenStack stands in clouds.yaml (cloud = NAME), or in these variables:")
	c.credentials(line)
	for _, service := range services {
		for _, key := range slices.Sorted(maps.Keys(without)) {
			if option := service + "." + key; c.given[option] > 0 {
				line("# %s: %s", c.origin(option), without[key])
			}
		}
	}
	return b.String()
}

// adminKeys are the options of Ironic's client, which has the credentials for all services, by
// OpenStack's variables.
var adminKeys = map[string]string{
	"OS_AUTH_URL": "admin_url", "OS_USERNAME": "admin_username", "OS_PASSWORD": "admin_password",
	"OS_PROJECT_NAME": "admin_tenant_name", "OS_TOKEN": "admin_auth_token", "OS_REGION_NAME": "region_name",
}

// Credential returns the value of one of OpenStack's variables, from the client of Ironic or else
// from that of Nova. Glance's client alone has the project's id.
func (c *Conf) Credential(name string) string {
	switch name {
	case "OS_USER_DOMAIN_NAME", "OS_PROJECT_DOMAIN_NAME":
		return "Default" // Arsenal is older than domains
	case "OS_PROJECT_ID":
		return c.Service(glance, "admin_tenant_id")
	}
	if key, ok := adminKeys[name]; ok {
		return cmp.Or(c.Service(ironic, key), c.Service(nova, key))
	}
	return ""
}

// credentials writes the variables, each from the first option that sets it. Of options with
// another value it writes only the place.
func (c *Conf) credentials(line func(format string, v ...any)) {
	said, told := map[string]string{}, map[string]bool{}
	for _, v := range credentials {
		value, option := c.service(v.service, v.key)
		if value == "" || told[option] {
			continue
		}
		told[option] = true
		first, known := said[v.name]
		switch {
		case !known && secret(option):
			line("#   %s, which is not written here: %s", v.name, c.origin(option))
		case !known:
			line("#   %s=%s", v.name, oneLine(withoutUser(value)))
			line("#     %s", c.origin(option))
		case first == value:
			line("#     %s", c.origin(option))
		default:
			line("#     %s: it is another there, and hostler has one for all services", c.origin(option))
		}
		if !known {
			said[v.name] = value
		}
	}
}

// withoutUser removes the user and password from a URL.
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

// span formats a duration as in hostler.conf.
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
