package runcmd

// Sections are the sections of hostler.conf that runs read, by their names: pointers to structs
// that config decodes.
func Sections() map[string]any {
	return map[string]any{
		"run": new(runSection), "results": new(resultsSection), "env": new(envSection), "sync": new(syncing),
	}
}
