package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/store"
)

// TokenRegistryOptions say how a TokenRegistry works. Members is required; the others have
// defaults.
type TokenRegistryOptions struct {
	Members     Members       // says what roles a user has now
	DefaultLife time.Duration // the life of a token that asks for none; 0: 90 days
	MaxLife     time.Duration // the longest life that may be asked for; 0: a year
	// how long a token counts as valid without asking the store again, which bounds the delay of a
	// revocation on another controller; 0: 2 s
	Fresh time.Duration
	// Reserved reports names that have rights by belonging to the machine, such as the controller's
	// own user. nil: none.
	Reserved func(name string) bool
	Now      func() time.Time
	Log      *slog.Logger
}

// TokenRegistry makes tokens and identifies the callers that present them. All methods may be
// called concurrently.
type TokenRegistry struct {
	store store.Transactor
	opt   TokenRegistryOptions

	mu    sync.Mutex
	cache map[Hash]cachedToken
	used  map[string]lastUse // by ID; uses that are not written to the store yet
	// counts revocations, so that a read that overlaps one is not cached
	ended int
}

// cachedToken is a token that was valid when it was read.
type cachedToken struct {
	Token
	who  Principal
	seen time.Time
}

// lastUse is the time and address of a token's last use.
type lastUse struct {
	at   time.Time
	from string
}

const (
	maxCached     = 10000            // tokens held in memory
	useResolution = 10 * time.Minute // precision of a token's last use
	sweep         = time.Hour        // how often expired tokens are deleted
	// how often uses are written to the store
	writeUses = 30 * time.Second
)

// NewTokenRegistry makes a TokenRegistry on a store. Run must be started for uses to be recorded.
func NewTokenRegistry(store store.Transactor, opt TokenRegistryOptions) *TokenRegistry {
	opt.DefaultLife, opt.MaxLife = cmp.Or(opt.DefaultLife, 90*24*time.Hour), cmp.Or(opt.MaxLife, 365*24*time.Hour)
	opt.Fresh = cmp.Or(opt.Fresh, 2*time.Second)
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &TokenRegistry{store: store, opt: opt, cache: map[Hash]cachedToken{}, used: map[string]lastUse{}}
}

// Make stores a token as described and returns its text, which cannot be read again. It sets ID,
// Hash, Created and Expires. A life of 0 means the default. The caller must have checked with Check
// that the maker may have it.
func (k *TokenRegistry) Make(ctx context.Context, t *Token, life time.Duration) (secret string, err error) {
	secret = newSecret()
	now := k.opt.Now()
	t.ID, t.Hash, t.Created = newID(), hashOf(secret), now
	t.Kind = cmp.Or(t.Kind, TokenOf)
	if t.Kind != TokenLease {
		life = cmp.Or(life, min(k.opt.DefaultLife, k.opt.MaxLife))
		if life < 0 || life > k.opt.MaxLife {
			return "", &compute.Error{
				Kind: compute.ErrInvalid,
				Err:  errors.New("a token ends after " + days(k.opt.MaxLife) + " at the latest"),
				Hint: "ask for less, or see token-max-life of [auth] in hostler.conf",
			}
		}
		t.Expires = now.Add(life)
	}
	err = k.store.Update(ctx, func(tx store.Tx) error {
		if t.Parent != "" {
			parent, err := byID(tx, t.Parent)
			if err != nil {
				return err
			}
			if parent.Kind == Session { // after a sign-out the tokens made in the session stay
				t.Parent = ""
			} else if err := t.within(parent); err != nil {
				return err
			}
		}
		return saveToken(tx, t)
	})
	return secret, err
}

// within limits a token to what its parent may. The limits are stored, so the token gains nothing
// when its maker does. An error means that the two contradict each other.
func (t *Token) within(parent *Token) error {
	if parent.Bound && t.Bound && t.Project != parent.Project ||
		parent.Source != "" && t.Source != "" && t.Source != parent.Source || parent.Lease != "" && t.Lease != parent.Lease {
		return &compute.Error{
			Kind: compute.ErrDenied,
			Err:  errors.New("the token that you come with is for something else than the one that you make"),
			Hint: "`hostler token list` shows what it is for",
		}
	}
	if parent.Bound {
		t.Bound, t.Project = true, parent.Project
	}
	t.Source = cmp.Or(t.Source, parent.Source)
	if parent.Role != Nobody && (t.Role == Nobody || t.Role > parent.Role) {
		t.Role = parent.Role
	}
	if parent.Only != 0 {
		only := parent.Only
		if t.Only != 0 {
			only &= t.Only
		}
		if only == 0 {
			return &compute.Error{
				Kind: compute.ErrDenied,
				Err: fmt.Errorf(
					"the token that you come with has the permissions %v alone, and the one that you make would have others",
					parent.Only,
				),
			}
		}
		t.Only = only
	}
	if !parent.Expires.IsZero() && (t.Expires.IsZero() || t.Expires.After(parent.Expires)) {
		t.Expires = parent.Expires // a token does not outlive its parent
	}
	return nil
}

// byID finds a token by its ID among all.
func byID(tx store.TokenTx, id string) (*Token, error) {
	all, err := storedTokens(tx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(t *Token) bool { return t.ID == id }); i >= 0 {
		return all[i], nil
	}
	return nil, &compute.Error{ID: compute.ID(id), Kind: compute.ErrNotFound, Err: errors.New("no such token")}
}

// errUnknown is the one error for every invalid token, so that callers learn nothing more.
var errUnknown = &compute.Error{
	Kind: compute.ErrDenied, Err: errors.New("the token is not known, or has expired or been revoked"),
	Hint: "hostler token create, or hostler login, makes another",
}

// Who identifies the caller that presents a token, and notes the address that it comes from. An
// invalid token is compute.ErrDenied.
func (k *TokenRegistry) Who(ctx context.Context, secret, from string) (Principal, error) {
	hash, now := hashOf(secret), k.opt.Now()
	k.mu.Lock()
	e, ok := k.cache[hash]
	ended := k.ended
	k.mu.Unlock()
	if !ok || now.Sub(e.seen) >= k.opt.Fresh || now.Before(e.seen) {
		t, err := k.read(ctx, hash)
		if err != nil {
			k.dropFromCache(hash)
			if errors.Is(err, compute.ErrNotFound) {
				err = errUnknown
			}
			return Principal{}, err
		}
		e = cachedToken{*t, t.principal(k.opt.Members), now}
		k.addToCache(hash, &e, ended)
	}
	if e.expired(now) {
		k.dropFromCache(hash)
		return Principal{}, errUnknown
	}
	if now.Sub(e.Used) >= useResolution {
		k.noteUse(hash, &e, now, from)
	}
	e.who.From = from
	return e.who, nil
}

func (t *Token) expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// read gets a token from the store. A lease's token is not found once the lease has ended.
func (k *TokenRegistry) read(ctx context.Context, hash Hash) (t *Token, err error) {
	err = k.store.View(ctx, func(tx store.Tx) error {
		row, err := tx.Token(store.TokenHash(hash))
		if err == nil {
			t, err = tokenFrom(row)
		}
		if err != nil || t.Lease == "" {
			return err
		}
		l, err := tx.Lease(t.Lease)
		if err == nil && !l.Ended.IsZero() {
			err = &compute.Error{Kind: compute.ErrNotFound}
		}
		return err
	})
	return t, err
}

// addToCache caches a token that was read. If tokens were revoked meanwhile it does not, as this
// may be one of them.
func (k *TokenRegistry) addToCache(hash Hash, e *cachedToken, ended int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ended != k.ended {
		return
	}
	if u, ok := k.used[e.ID]; ok {
		e.Used, e.From = u.at, u.from
	}
	if len(k.cache) >= maxCached {
		for old := range k.cache { // any one: it is read again when it is used
			delete(k.cache, old)
			break
		}
	}
	k.cache[hash] = *e
}

func (k *TokenRegistry) dropFromCache(hash Hash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.cache, hash)
}

// noteUse notes that a token was used, in the cache and for the next write.
func (k *TokenRegistry) noteUse(hash Hash, e *cachedToken, now time.Time, from string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	e.Used, e.From = now, from
	k.used[e.ID] = lastUse{now, from}
	if _, ok := k.cache[hash]; ok {
		k.cache[hash] = *e
	}
}

// List returns the valid tokens, the oldest first, including sessions and the tokens of leases.
func (k *TokenRegistry) List(ctx context.Context) (out []*Token, err error) {
	err = k.store.View(ctx, func(tx store.Tx) error {
		out, err = storedTokens(tx)
		return err
	})
	now := k.opt.Now()
	out = slices.DeleteFunc(out, func(t *Token) bool { return t.expired(now) })
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, t := range out {
		if u, ok := k.used[t.ID]; ok {
			t.Used, t.From = u.at, u.from
		}
	}
	return out, err
}

// Revoke ends a token and all tokens made with it, if may agrees; it returns those that ended. They
// are invalid here when it returns, and on other controllers within TokenRegistryOptions.Fresh.
func (k *TokenRegistry) Revoke(ctx context.Context, id string, may func(*Token) error) (gone []*Token, err error) {
	err = k.store.Update(ctx, func(tx store.Tx) error {
		gone = nil
		t, err := byID(tx, id)
		if err == nil && may != nil {
			err = may(t)
		}
		if err != nil {
			return err
		}
		all, err := storedTokens(tx)
		if err != nil {
			return err
		}
		for todo := []*Token{t}; len(todo) > 0; todo = todo[1:] {
			if err := tx.DropToken(todo[0].ID); err != nil {
				return err
			}
			gone = append(gone, todo[0])
			for _, child := range all {
				if child.Parent == todo[0].ID {
					todo = append(todo, child)
				}
			}
		}
		return nil
	})
	if err == nil {
		k.mu.Lock()
		k.ended++
		for _, t := range gone {
			delete(k.cache, t.Hash)
		}
		k.mu.Unlock()
	}
	return gone, err
}

// Run records uses and deletes expired tokens until ctx ends.
func (k *TokenRegistry) Run(ctx context.Context) {
	write, old := time.NewTicker(writeUses), time.NewTicker(sweep)
	defer write.Stop()
	defer old.Stop()
	k.sweep(ctx)
	for {
		select {
		case <-ctx.Done():
			k.record(context.WithoutCancel(ctx))
			return
		case <-write.C:
			k.record(ctx)
		case <-old.C:
			k.sweep(ctx)
		}
	}
}

// record writes the uses since the last time to the store.
func (k *TokenRegistry) record(ctx context.Context) {
	k.mu.Lock()
	some := k.used
	k.used = map[string]lastUse{}
	k.mu.Unlock()
	if len(some) == 0 {
		return
	}
	err := k.store.Update(ctx, func(tx store.Tx) error {
		all, err := storedTokens(tx)
		for _, t := range all {
			if u, ok := some[t.ID]; ok && err == nil {
				t.Used, t.From = u.at, u.from
				err = saveToken(tx, t)
			}
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		// they are recorded when they are used again
		k.opt.Log.Warn("when tokens were used is not recorded", "err", err)
	}
}

// sweep deletes expired tokens, and the tokens of leases that have ended.
func (k *TokenRegistry) sweep(ctx context.Context) {
	now := k.opt.Now()
	var over []string
	err := k.store.View(ctx, func(tx store.Tx) error {
		all, err := storedTokens(tx)
		for _, t := range all {
			gone := t.expired(now)
			if t.Lease != "" {
				l, err := tx.Lease(t.Lease)
				gone = gone || errors.Is(err, compute.ErrNotFound) || err == nil && !l.Ended.IsZero()
			}
			if gone {
				over = append(over, t.ID)
			}
		}
		return err
	})
	if err == nil && len(over) > 0 {
		err = k.store.Update(ctx, func(tx store.Tx) error {
			for _, id := range over {
				if err := tx.DropToken(id); err != nil && !errors.Is(err, compute.ErrNotFound) {
					return err
				}
			}
			return nil
		})
	}
	if err != nil && ctx.Err() == nil {
		k.opt.Log.Warn("tokens that are over are not forgotten yet", "err", err)
	}
}

// days prints whole days as days, and other durations as usual.
func days(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%d days", d/day)
	}
	return d.String()
}
