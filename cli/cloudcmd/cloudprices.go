package cloudcmd

import (
	"fmt"
	"strconv"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
)

// prices are what servers cost for an hour, by the names of flavors.
type prices struct {
	hourly   map[string]float64
	currency string
}

// cloudPrices reads [cloud] and [cloud.prices] of hostler.conf.
func cloudPrices(a *cli.App) (p prices, err error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return p, err
	}
	var s struct {
		Currency string `conf:"currency"`
	}
	section, settings := cfg.Sections["cloud"], map[string]string{}
	for k, v := range section {
		settings[k] = v.Text
	}
	if err := config.Decode(settings, func(key string) (string, int) { return section[key].File, section[key].Line }, &s); err != nil {
		return p, host.ConfigError(err)
	}
	p.hourly, p.currency = map[string]float64{}, s.Currency
	for _, v := range cfg.Sections["cloud.prices"] {
		f, err := strconv.ParseFloat(v.Text, 64)
		if err != nil || f < 0 {
			return p, host.ConfigError(&config.Error{
				File: v.File, Line: v.Line, Key: v.Key, Msg: fmt.Sprintf("%q is no price of an hour", v.Text),
			})
		}
		p.hourly[v.Key] = f
	}
	return p, nil
}

// of returns the price of a flavor; nil if unknown.
func (p prices) of(flavor string) *float64 {
	if f, ok := p.hourly[flavor]; ok {
		return &f
	}
	return nil
}

// shown formats a price for the user.
func (p prices) shown(f *float64) string {
	if f == nil {
		return "-"
	}
	text := strconv.FormatFloat(*f, 'f', -1, 64)
	if p.currency != "" {
		text += " " + p.currency
	}
	return text
}

// total sums up prices; nil if none is known.
func (p prices) total(of []*float64) *float64 {
	sum, known := 0.0, false
	for _, f := range of {
		if f != nil {
			sum, known = sum+*f, true
		}
	}
	if !known {
		return nil
	}
	return &sum
}
