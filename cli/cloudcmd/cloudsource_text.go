package cloudcmd

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/hostler-project/hostler/host/clouds"
	"github.com/hostler-project/hostler/provider/openstack/deployment"
	"github.com/hostler-project/hostler/text/units"
)

// text returns the source.conf.
func (s *cloudSource) text(rec *deployment.Record, o *cloudDeployOptions) string {
	var b strings.Builder
	project, _ := clouds.ProjectOf(clouds.KindOf(rec))
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%s = %s\n", key, value)
		}
	}
	b.WriteString("# Written by hostler cloud deploy, and removed by hostler cloud teardown as long as it is not changed.\n")
	line("type", project.Kind)
	if s.max > 0 {
		line("maximum", strconv.Itoa(s.max))
	}
	if s.spawns > 0 {
		line("parallel", strconv.Itoa(s.spawns))
	}
	if idle := s.keepalive.Value.String(); s.keepalive.Value > 0 {
		line("idle", idle)
	} else {
		line("idle", "none")
	}
	if s.confirmDead.Given {
		line("on-failure", "hold")
		after := "none"
		if s.confirmDead.Value > 0 {
			after = s.confirmDead.String()
		}
		line("auto-confirm-dead", after)
	}
	if s.script != "" || len(s.files) > 0 {
		line("bundles", rec.Name)
	}
	b.WriteString("\n[" + project.Kind + "]\n")
	line("deployment", rec.Name)
	line("image", s.os)
	line("user", s.user)
	line("memory", units.FormatSize(s.ram.Bytes))
	line("flavor-sets", s.sets)
	if s.listed {
		line("flavor-order", "listed")
	}
	where := clouds.Where{File: o.file, Region: o.region}
	for _, l := range project.Section(rec, clouds.Source{
		Where: where, Flavor: s.flavor, Disk: units.FormatSize(s.disk.Bytes), Floating: s.floating, Settings: o.settings,
	}) {
		line(l.Key, l.Value)
	}
	return b.String()
}
