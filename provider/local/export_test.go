package local

// Workspaces are the directories of copies of working trees.
func (p *Provider) Workspaces() []string { return []string{p.workspaces(), p.others()} }

const Mark = markVariable
