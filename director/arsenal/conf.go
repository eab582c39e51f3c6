package arsenal

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/text/nearest"
)

// Conf is the content of an arsenal.conf.
type Conf struct {
	File string // where it was read

	Scout            string // module.Class
	PollSpacing      time.Duration
	DirectiveSpacing time.Duration
	DryRun           bool
	CacheLimit       int // 0: off
	CachePeriod      time.Duration
	EjectLimit       int // 0: off
	EjectPeriod      time.Duration
	LogStatistics    bool

	Strategy      string // module.Class
	WeightsFile   string // "": all images have DefaultWeight
	DefaultWeight int
	Share         float64

	// Services are the options of client_wrapper, nova, ironic and glance, with their defaults.
	// They contain secrets.
	Services map[string]map[string]string

	Warnings []string // what is in the file and has no effect, with its line

	given map[string]int // lines by section.key
}

// options are all options with their defaults, by section and key.
var options = map[string]map[string]string{
	"director": {"scout": "", "poll_spacing": "120", "directive_spacing": "120", "dry_run": "false",
		"cache_directive_rate_limit": "0", "cache_directive_limiting_period": "300",
		"eject_directive_rate_limit": "0", "eject_directive_limiting_period": "300", "log_statistics": "true"},
	"strategy":                     {"module_class": proportional, "image_weights_filename": "", "default_image_weight": "1"},
	"simple_proportional_strategy": {"percentage_to_cache": "0.125"},
	"client_wrapper": {"os_username": "", "os_password": "", "os_auth_token": "", "os_api_url": "", "os_tenant_name": "",
		"os_tenant_id": "", "region_name": "", "service_name": "",
		"auth_system": "keystone", "call_max_retries": "60", "call_retry_interval": "2"},
	nova: {"admin_username": "", "admin_password": "", "admin_url": "", "admin_tenant_name": "", "region_name": "",
		"service_name": "", "auth_plugin": "", "auth_plugin_obj": "",
		"client_log_level": "", "api_version": "2", "auth_system": "keystone", "api_max_retries": "60", "api_retry_interval": "2"},
	ironic: {"admin_username": "", "admin_password": "", "admin_auth_token": "", "admin_url": "",
		"admin_tenant_name": "", "api_endpoint": "", "client_log_level": "", "api_version": "1",
		"api_max_retries": "60", "api_retry_interval": "2"},
	glance: {"admin_username": "", "admin_password": "", "admin_auth_token": "", "admin_tenant_name": "",
		"admin_tenant_id": "", "api_endpoint": "", "auth_endpoint": "", "region_name": "",
		"client_log_level": "", "api_version": "2"},
}

const proportional = "simple_proportional_strategy.SimpleProportionalStrategy"

// The sections of OpenStack's services.
const (
	nova   = "nova"
	ironic = "ironic"
	glance = "glance"
)

var services = []string{"client_wrapper", nova, ironic, glance}

// numbers are the options of services that are whole numbers.
var numbers = []string{"call_max_retries", "call_retry_interval", "api_max_retries", "api_retry_interval"}

// Read reads a file. Errors name the line and the option.
func Read(file string) (*Conf, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	c, err := Parse(data)
	if err != nil {
		return nil, &compute.Error{Kind: compute.ErrInvalid, Err: fmt.Errorf("%s: %w", file, err), Hint: compute.Hint(err)}
	}
	c.File = file
	if c.WeightsFile != "" && !filepath.IsAbs(c.WeightsFile) {
		// as in Arsenal: relative to the working directory
		if c.WeightsFile, err = filepath.Abs(c.WeightsFile); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Parse reads the text of an arsenal.conf.
func Parse(data []byte) (*Conf, error) {
	all, err := parse(data)
	if err != nil {
		return nil, err
	}
	c := &Conf{Services: map[string]map[string]string{}, given: map[string]int{}}
	values := map[string]string{}
	for section, of := range options {
		for key, usual := range of {
			values[section+"."+key] = usual
		}
	}
	for _, s := range all {
		section := options[s.section]
		key := strings.ReplaceAll(s.key, "-", "_")
		_, known := section[key]
		switch {
		case known:
			// the last one counts
			values[s.section+"."+key], c.given[s.section+"."+key] = s.value, s.line
		case s.section == "DEFAULT": // oslo.config's own: logging, and what others refer to
			values["DEFAULT."+key], c.given["DEFAULT."+key] = s.value, s.line
		case section == nil:
			c.warn(s.line, fmt.Sprintf("section [%s] is not Arsenal's", s.section), nearest.Meant(s.section, sections()))
		default:
			c.warn(s.line, fmt.Sprintf("%s in [%s] is not Arsenal's", s.key, s.section), nearest.Meant(key, keys(section)))
		}
	}
	refers := &referrer{values: values, warn: func(option, what string) {
		section, key, _ := strings.Cut(option, ".")
		if w := fmt.Sprintf("line %d: %s in [%s] %s", c.given[option], key, section, what); !slices.Contains(c.Warnings, w) {
			c.Warnings = append(c.Warnings, w)
		}
	}}
	r := &reader{c: c, values: map[string]string{}}
	for _, option := range slices.Sorted(maps.Keys(values)) {
		if section, _, _ := strings.Cut(option, "."); section != "DEFAULT" {
			r.values[option] = refers.value(option)
		}
	}
	c.Scout = r.text("director.scout")
	c.PollSpacing, c.DirectiveSpacing = r.seconds("director.poll_spacing"), r.seconds("director.directive_spacing")
	c.DryRun, c.LogStatistics = r.flag("director.dry_run"), r.flag("director.log_statistics")
	c.CacheLimit, c.CachePeriod = r.number("director.cache_directive_rate_limit", 0), r.seconds("director.cache_directive_limiting_period")
	c.EjectLimit, c.EjectPeriod = r.number("director.eject_directive_rate_limit", 0), r.seconds("director.eject_directive_limiting_period")
	c.Strategy, c.WeightsFile = r.text("strategy.module_class"), r.text("strategy.image_weights_filename")
	c.DefaultWeight, c.Share = r.number("strategy.default_image_weight", 0), r.share("simple_proportional_strategy.percentage_to_cache")
	for _, service := range services {
		of := map[string]string{}
		for key := range options[service] {
			of[key] = r.text(service + "." + key)
			if slices.Contains(numbers, key) {
				r.number(service+"."+key, 0)
			}
		}
		c.Services[service] = of
	}
	if c.Scout == "" {
		r.fail("director.scout", "is required: the class that says what nodes there are, as in scout = onmetal_scout.OnMetalV2Scout")
	}
	return c, errors.Join(r.errs...)
}

func sections() (out []string) {
	for s := range options {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func keys(section map[string]string) (out []string) {
	for k := range section {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (c *Conf) warn(line int, what, meant string) {
	if meant != "" {
		what += "; did you mean " + meant + "?"
	}
	c.Warnings = append(c.Warnings, fmt.Sprintf("line %d: %s", line, what))
}

// reader converts texts into values, and collects errors.
type reader struct {
	c      *Conf
	values map[string]string
	errs   []error
}

// fail adds an error about an option. It does not show the value, which might be a misplaced
// secret.
func (r *reader) fail(option, what string) {
	section, key, _ := strings.Cut(option, ".")
	at := ""
	if line := r.c.given[option]; line > 0 {
		at = fmt.Sprintf("line %d: ", line)
	}
	r.errs = append(r.errs, fmt.Errorf("%s%s in [%s] %s", at, key, section, what))
}

func (r *reader) text(option string) string { return r.values[option] }

func (r *reader) number(option string, least int) int {
	n, err := strconv.Atoi(r.values[option])
	if err != nil || n < least || n > math.MaxInt32 {
		r.fail(option, fmt.Sprintf("%q: not a whole number from %d on", r.values[option], least))
	}
	return n
}

func (r *reader) seconds(option string) time.Duration {
	return time.Duration(r.number(option, 1)) * time.Second
}

func (r *reader) share(option string) float64 {
	v, err := strconv.ParseFloat(r.values[option], 64)
	if err != nil || !(v >= 0 && v <= 1) {
		r.fail(option, fmt.Sprintf("%q: not a share between 0 and 1", r.values[option]))
	}
	return v
}

// flag reads a boolean as oslo.config does. It records an error for anything else.
func (r *reader) flag(option string) bool {
	switch strings.ToLower(r.values[option]) {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
		return false
	}
	r.fail(option, fmt.Sprintf("%q: neither true nor false", r.values[option]))
	return false
}

// Service returns an option of a service (nova, ironic or glance), else the option of
// client_wrapper that replaces it; "": neither is set.
func (c *Conf) Service(service, key string) string {
	v, _ := c.service(service, key)
	return v
}

// service is Service that also returns the option's full name.
func (c *Conf) service(service, key string) (value, option string) {
	if v := c.Services[service][key]; v != "" {
		return v, service + "." + key
	}
	return c.Services["client_wrapper"][insteads[key]], "client_wrapper." + insteads[key]
}

// origin returns where an option is set, for people.
func (c *Conf) origin(option string) string {
	section, key, _ := strings.Cut(option, ".")
	if line := c.given[option]; line > 0 {
		return fmt.Sprintf("%s in [%s], line %d", key, section, line)
	}
	return fmt.Sprintf("%s in [%s], as it goes without saying", key, section)
}

// insteads are the options of client_wrapper that count where a service has none of its own.
var insteads = map[string]string{"admin_username": "os_username", "admin_password": "os_password",
	"admin_auth_token": "os_auth_token", "admin_url": "os_api_url", "auth_endpoint": "os_api_url",
	"admin_tenant_name": "os_tenant_name", "admin_tenant_id": "os_tenant_id", "region_name": "region_name",
	"service_name": "service_name", "auth_system": "auth_system",
	"api_max_retries": "call_max_retries", "api_retry_interval": "call_retry_interval"}

// Preset returns the name of the rules that correspond to a scout of Arsenal's: devstack,
// onmetal-v1 or onmetal-v2; "": the scout is unknown.
func (c *Conf) Preset() string {
	class := strings.ToLower(c.Scout)
	switch {
	case strings.Contains(class, "devstack"):
		return "devstack"
	case strings.Contains(class, "onmetal") && strings.Contains(class, "v2"):
		return "onmetal-v2"
	case strings.Contains(class, "onmetal"):
		return "onmetal-v1"
	}
	return ""
}

// Proportional reports whether the strategy is Arsenal's own.
func (c *Conf) Proportional() bool {
	return strings.HasSuffix(c.Strategy, "SimpleProportionalStrategy")
}
