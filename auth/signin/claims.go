package signin

import (
	"slices"
	"strings"
)

// User is a person who has signed in and is let in.
type User struct {
	Name    string   // the owner of the leases that this person takes
	Email   string   // a verified address; "": none known
	Groups  []string // as the provider has them, sorted
	Subject string   // the provider's identifier of the person, independent of the name
	Proof   string   // a hash that identifies the presented token; not secret
}

const (
	emailClaim    = "email"
	verifiedClaim = "email_verified"
	maxName       = 128
	maxGroups     = 500 // a longer list is cut
)

// userOf builds a User from the provider's claims, or says why that person is not let in.
func (p *Provider) userOf(claims map[string]any) (User, error) {
	out := User{Groups: words(claims[p.GroupsClaim])}
	address, _ := claims[emailClaim].(string)
	if verified(claims[verifiedClaim]) {
		out.Email = strings.ToLower(address)
	}
	name, _ := claims[p.NameClaim].(string)
	if p.NameClaim == emailClaim {
		if name != "" && out.Email == "" {
			return User{}, p.refused("have the provider verify it", "the provider has not verified the address %q", short40(name))
		}
		name = out.Email
	}
	switch {
	case name == "":
		return User{}, p.refused(
			"an administrator may say another name-claim, or ask for more scopes",
			"the provider does not tell the claim %s", p.NameClaim,
		)
	case !goodName(name):
		return User{}, p.refused(
			"an administrator may say another name-claim",
			"the claim %s is %q, which is no name here: letters, digits and .-_+@ are", p.NameClaim, short40(name),
		)
	case slices.ContainsFunc(p.Reserved, func(r string) bool { return strings.EqualFold(r, name) }):
		return User{}, p.refused("an administrator may say another name-claim", "the name %s is not to be had by signing in", name)
	}
	out.Name = name
	if !p.admits(out) {
		return User{}, p.refused(
			"ask the administrators of the controller", "%s is in none of the domains and groups that are let in", name,
		)
	}
	return out, nil
}

// admits reports whether a person is in an allowed domain or group.
func (p *Provider) admits(who User) bool {
	if slices.Contains(p.Domains, everybody) ||
		slices.ContainsFunc(p.Options.Groups, func(g string) bool { return slices.Contains(who.Groups, g) }) {
		return true
	}
	local, domain, ok := strings.Cut(who.Email, "@")
	return ok && local != "" && !strings.Contains(domain, "@") && slices.Contains(p.Domains, domain)
}

// verified reads email_verified, which some providers write as a word.
func verified(claim any) bool { return claim == true || claim == "true" }

// words reads a claim that is a list of words or a single word; the result is sorted.
func words(claim any) (out []string) {
	if one, ok := claim.(string); ok {
		claim = []any{one}
	}
	list, _ := claim.([]any)
	for _, each := range list {
		if word, ok := each.(string); ok && word != "" && len(out) < maxGroups {
			out = append(out, word)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// goodName reports whether a name has only characters that cannot be mistaken for others, and that
// mean nothing special in a terminal or a list.
func goodName(name string) bool {
	if name == "" || len(name) > maxName || strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune(".-_+@", r)
	})
}

func short40(s string) string { return s[:min(len(s), 40)] }
