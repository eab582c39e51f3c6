package deploycmd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
)

// deploySettings reads the section [deploy].
func deploySettings(a *cli.App) (deploy.Settings, error) {
	var s deploy.Settings
	cfg, err := a.Host.Configuration()
	if err != nil {
		return s, err
	}
	section := cfg.Sections["deploy"]
	settings := map[string]string{}
	for k, v := range section {
		settings[k] = v.Text
	}
	at := func(key string) (string, int) {
		v := section[strings.ReplaceAll(key, "-", "_")]
		return v.File, v.Line
	}
	err = config.Decode(settings, at, &s)
	if err == nil && s.OnFailure != "" && !slices.Contains(deploy.Policies, s.OnFailure) {
		v := section["on_failure"]
		err = &config.Error{
			File: v.File, Line: v.Line, Key: v.Key,
			Msg: fmt.Sprintf("%q is none of %s", v.Text, strings.Join(deploy.Policies, ", ")),
		}
	}
	return s, host.ConfigError(err)
}
