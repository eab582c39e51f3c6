package service

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/slapos/cache"
	"github.com/hostler-project/hostler/slapos/node/software"
)

// useCache fetches releases from the binary cache of [networkcache], and uploads built ones: by
// later, or at once if that is nil. If the cache fails, it warns, and everything is built here.
func (from *releases) useCache(b *software.Builder) {
	open := func(ctx context.Context, as software.As) (*cache.Releases, func(), error) {
		r, end, err := from.binaryCache(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("[networkcache]: %w", err)
		}
		r.As = as
		return r, end, nil
	}
	b.Fetch = func(ctx context.Context, url, root string, as software.As) (bool, error) {
		r, end, err := open(ctx, as)
		if err != nil && ctx.Err() == nil {
			from.node.Log.Warn("The binary cache is not used: %s", api.Text(err))
			return false, nil
		} else if err != nil {
			return false, err
		}
		defer end()
		return r.Fetch(ctx, url, root)
	}
	b.Upload = func(ctx context.Context, url, dir string, as software.As) error {
		r, end, err := open(ctx, as)
		if err != nil {
			return err
		}
		p, err := r.Pack(ctx, url, dir) // packed now, as it may change before it is sent
		if p == nil || err != nil {
			end()
			return err
		}
		send := func(ctx context.Context) error {
			defer end()
			return errors.Join(p.Send(ctx), p.Close())
		}
		if from.later == nil {
			return send(ctx)
		}
		from.later(url, send)
		return nil
	}
}

// binaryCache returns the cache that the file names; end closes it.
func (r *releases) binaryCache(ctx context.Context) (out *cache.Releases, end func(), err error) {
	const section = "networkcache"
	text := func(key string) string {
		if err != nil {
			return ""
		}
		var found string
		found, err = r.node.File.Text(section, key)
		return found
	}
	lines := func(key string) []string {
		if err != nil {
			return nil
		}
		var found []string
		found, err = r.node.File.Lines(section, key)
		return found
	}
	out = &cache.Releases{Log: r.node.say}
	out.NotFetched = append(lines("download-from-binary-cache-url-blacklist"), lines("binary-cache-url-blacklist")...)
	out.NotUploaded, out.OnlyFetched = lines("upload-to-binary-cache-url-blacklist"), lines("download-from-binary-cache-force-url-list")
	contents := cache.Options{CAFile: text("shacache-ca-file"), CertFile: text("shacache-cert-file"), KeyFile: text("shacache-key-file")}
	entries := cache.Options{CAFile: text("shadir-ca-file"), CertFile: text("shadir-cert-file"), KeyFile: text("shadir-key-file")}
	urls := map[string]string{}
	for _, key := range []string{
		"download-binary-cache-url", "download-binary-dir-url", "upload-binary-cache-url", "upload-binary-dir-url",
	} {
		urls[key] = text(key)
	}
	signers, keyFile := text("signature-certificate-list"), text("signature-private-key-file")
	if r.node.SignatureKey != "" {
		keyFile = r.node.SignatureKey
	}
	if err != nil {
		return nil, nil, err
	}
	if entries.Signers, err = cache.ParseSigners(signers); err != nil {
		return nil, nil, err
	}
	if strings.Join(slices.Collect(maps.Values(urls)), "") != "" { // otherwise it is not needed
		if out.Here, err = cache.This(ctx); err != nil {
			return nil, nil, err
		}
	}
	var opened []interface{ Close() }
	end = func() {
		for _, one := range opened {
			one.Close()
		}
	}
	open := func(contentsAt, entriesAt string) (d *cache.Directory, s *cache.Store) {
		if err != nil || contentsAt == "" || entriesAt == "" {
			return nil, nil
		}
		c, e := contents, entries
		c.URL, e.URL = contentsAt, entriesAt
		if d, err = cache.OpenDirectory(e); err != nil {
			return nil, nil
		}
		opened = append(opened, d)
		if s, err = cache.OpenStore(c); err != nil {
			return nil, nil
		}
		opened = append(opened, s)
		return d, s
	}
	out.Entries, out.Content = open(urls["download-binary-cache-url"], urls["download-binary-dir-url"])
	out.EntriesTo, out.ContentTo = open(urls["upload-binary-cache-url"], urls["upload-binary-dir-url"])
	if err == nil && keyFile != "" && out.EntriesTo != nil {
		out.Key, err = signingKey(keyFile, entries.Signers)
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return out, end, nil
}

// signingKey reads a key that signs entries. Its certificate must be in the list, or this machine
// would not trust its own entries.
func signingKey(file string, signers []*x509.Certificate) (*rsa.PrivateKey, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key in PEM", file)
	}
	var key *rsa.PrivateKey
	if any, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		key, _ = any.(*rsa.PrivateKey)
	} else if key, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
		return nil, fmt.Errorf("the key in %s cannot be read: %w", file, err)
	}
	if key == nil {
		return nil, fmt.Errorf("the key in %s is not of RSA", file)
	}
	for _, c := range signers {
		if key.PublicKey.Equal(c.PublicKey) {
			return key, nil
		}
	}
	return nil, errors.New("signature-certificate-list has not the certificate of the key by which is signed")
}
