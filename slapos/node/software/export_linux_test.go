package software

// Lay makes what a buildout begins with, for a software user with a home.
func (b *Builder) LayAt(home, url string) error {
	u, err := b.user()
	if err != nil {
		return err
	}
	u.Home = home
	return u.as(func() error { return b.startDirectory(u, url, b.Dir(url)) })
}

type Failure = failure
