package deploycmd

import "github.com/hostler-project/hostler/compute/fault"

// chooseSource returns the source of -s, of [deploy] or the default of all commands.
func (d *deploying) chooseSource() (string, error) {
	if d.app.Flags.Source == "" && d.settings.Source != "" {
		return d.settings.Source, nil
	}
	if d.opt.old && d.app.Flags.Source == "" {
		return "", fault.Invalid("-p NAME, or [deploy] source in hostler.conf", "no provider is named")
	}
	return d.app.SourceName()
}
