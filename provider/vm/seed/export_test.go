package seed

// WriteSeed writes a seed with everything on it, and returns the host's private key that it has.
func WriteSeed(path, program, user string, extra []byte) (string, error) {
	login, err := NewKey("hostler")
	if err != nil {
		return "", err
	}
	host, err := NewKey("root@web-1")
	if err != nil {
		return "", err
	}
	s := Seed{
		ID: "4f7a2c1e-8a35-4d0b-9d63-0f6f4c1f2a11", Hostname: "web-1", User: user,
		Keys: []string{string(login.Public)}, HostKey: host, Extra: extra,
		Program: program,
	}
	return string(host.Private), s.Write(path)
}
