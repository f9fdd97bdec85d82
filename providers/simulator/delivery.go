package simulator

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"time"
)

// delivery is one callback on its way: what it says is fixed when it is queued,
// it is signed anew at each try. It leaves the queue when it is accepted or
// when the sender's schedule is used up.
type delivery struct {
	ID        int64             `json:"id"`
	Sender    string            `json:"sender"`
	Owner     string            `json:"owner"`     // terminal or bank account
	Reference string            `json:"reference"` // merchant's or bank's reference, for scripts
	Values    map[string]string `json:"values,omitempty"`
	Body      string            `json:"body,omitempty"`
	Tries     int               `json:"tries"`
	DueAt     time.Time         `json:"due_at"`
	// OnAdvance holds the callback back until the clock is advanced.
	OnAdvance bool `json:"on_advance,omitempty"`

	busy bool // somebody is sending it
}

// reply is what the receiver answered; Status 0 means that no answer came.
type reply struct {
	Sender    string `json:"sender"`
	Reference string `json:"reference"`
	Status    int    `json:"status"`
	Body      string `json:"body"`
	Error     string `json:"error,omitempty"`
	Accepted  bool   `json:"accepted"`
}

// queue files a callback in the wanted mode and returns those that the caller
// must send itself, once mu is free and the state is saved. With background
// set, the worker sends them and nothing is returned. The caller holds mu.
func (s *Simulator) queue(d delivery, mode callbackMode, delay time.Duration, background bool) []*delivery {
	count := 1
	switch mode {
	case callbackLose:
		return nil
	case callbackTwice:
		count = 2
	case callbackDeliver, callbackLate, callbackBadSignature:
	}
	var list []*delivery
	for range count {
		next := d
		s.state.LastDelivery++
		next.ID = s.state.LastDelivery
		next.DueAt = s.now().Add(delay)
		next.OnAdvance = mode == callbackLate && delay == 0
		next.busy = mode != callbackLate && !background
		s.state.Deliveries[next.ID] = &next
		if next.busy {
			list = append(list, &next)
		}
	}
	s.changed()
	s.nudge()
	return list
}

// nudge lets the worker look at the queue again.
func (s *Simulator) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// work sends what is due until Close.
func (s *Simulator) work() {
	for {
		s.mu.Lock()
		d := s.earliest()
		wait := time.Hour
		if s.advancing {
			d = nil // the clock's owner sends in order of time, and wakes us after
		}
		if d != nil {
			// A clock that stands still must not make this loop spin.
			wait = max(d.DueAt.Sub(s.now()), 0)
			if wait == 0 {
				d.busy = true
			}
		}
		s.mu.Unlock()

		if d != nil && wait == 0 {
			select {
			case s.slots <- struct{}{}:
			case <-s.ctx.Done():
				s.release(d)
				return
			}
			s.group.Go(func() {
				defer func() { <-s.slots }()
				s.try(d)
			})
			continue
		}
		t := time.NewTimer(max(wait, 10*time.Millisecond))
		select {
		case <-s.ctx.Done():
			t.Stop()
			return
		case <-s.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

// earliest returns the delivery that is due first, whose receiver is
// registered and that nobody is sending; the caller holds mu.
func (s *Simulator) earliest() *delivery {
	var first *delivery
	for _, d := range s.state.Deliveries {
		if d.busy || d.OnAdvance || !s.reachable(d) {
			continue
		}
		if first == nil || d.DueAt.Before(first.DueAt) || d.DueAt.Equal(first.DueAt) && d.ID < first.ID {
			first = d
		}
	}
	return first
}

func (s *Simulator) reachable(d *delivery) bool {
	if d.Sender == VNPAY {
		return s.merchants[d.Owner] != nil
	}
	return s.banks[d.Owner] != nil
}

// try sends d once and files the result: accepted, due again, or given up.
func (s *Simulator) try(d *delivery) reply {
	answer := s.send(d)
	s.mu.Lock()
	d.busy = false
	s.idle.Broadcast()
	if s.ctx.Err() == nil { // a delivery cut by Close does not count
		d.Tries++
		delays := s.retries[d.Sender]
		switch {
		case answer.Accepted:
			delete(s.state.Deliveries, d.ID)
		case d.Tries <= len(delays):
			d.DueAt = s.now().Add(delays[d.Tries-1])
			s.nudge()
		default:
			delete(s.state.Deliveries, d.ID)
			s.log.Warn("callback given up", "sender", d.Sender, "tries", d.Tries)
		}
		s.changed()
	}
	s.mu.Unlock()
	if err := s.save(); err != nil {
		s.log.Error("simulator state not saved", "error", err)
	}
	return answer
}

// release gives deliveries back to the worker, unsent.
func (s *Simulator) release(list ...*delivery) {
	s.mu.Lock()
	for _, d := range list {
		d.busy = false
	}
	s.idle.Broadcast()
	s.mu.Unlock()
	s.nudge()
}

// send makes one HTTP call and judges the answer by the sender's rule.
func (s *Simulator) send(d *delivery) reply {
	answer := reply{Sender: d.Sender, Reference: d.Reference}
	ctx, cancel := context.WithTimeout(s.ctx, deliverySeconds*time.Second)
	defer cancel()

	s.mu.Lock()
	spoil := s.state.Faults[d.Sender].Callback == callbackBadSignature
	var request *http.Request
	var err error
	if d.Sender == VNPAY {
		request, err = newIPN(ctx, s.merchants[d.Owner], d.Values, spoil)
	} else {
		// SePay signs with the time of the machine, not of the advanced clock:
		// the receiver compares with its own clock.
		request, err = newNotice(ctx, s.banks[d.Owner], d.Body, s.options.Now(), spoil)
	}
	s.mu.Unlock()
	if err != nil {
		answer.Error = "callback address is not usable"
		return answer
	}
	response, err := s.client.Do(request)
	if err != nil {
		answer.Error = "no answer"
		return answer
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, replyLimit))
	if err != nil {
		answer.Error = "answer broke off"
		return answer
	}
	answer.Status, answer.Body = response.StatusCode, string(raw)
	if d.Sender == VNPAY {
		answer.Accepted = ipnAccepted(response.StatusCode, raw)
	} else {
		answer.Accepted = noticeAccepted(response.StatusCode, raw)
	}
	return answer
}

// ipnAccepted: VNPAY stops on RspCode 00 (stored) and 02 (stored before).
func ipnAccepted(status int, raw []byte) bool {
	var body struct{ RspCode string }
	return status == http.StatusOK && json.Unmarshal(raw, &body) == nil &&
		(body.RspCode == "00" || body.RspCode == "02")
}

// noticeAccepted: SePay stops on 200 or 201 with {"success":true}.
func noticeAccepted(status int, raw []byte) bool {
	var body struct {
		Success bool `json:"success"`
	}
	return (status == http.StatusOK || status == http.StatusCreated) &&
		json.Unmarshal(raw, &body) == nil && body.Success
}

// advance moves the clock forward and sends on the way all that becomes due, in
// order of time, including the retries of what is refused. What is under way
// is waited for first, so that its retry is not counted from the new time.
func (s *Simulator) advance(by time.Duration) []reply {
	s.clock.Lock()
	defer s.clock.Unlock()
	replies := []reply{}
	s.mu.Lock()
	s.advancing = true
	var underWay []*delivery
	for _, d := range s.state.Deliveries {
		if d.busy {
			underWay = append(underWay, d)
		}
	}
	for slices.ContainsFunc(underWay, func(d *delivery) bool { return d.busy }) {
		s.idle.Wait()
	}
	target := s.now().Add(by)
	for _, d := range s.state.Deliveries {
		if d.OnAdvance {
			d.OnAdvance, d.DueAt = false, s.now()
		}
	}
	for s.ctx.Err() == nil {
		d := s.earliest()
		if d == nil || d.DueAt.After(target) {
			break
		}
		s.moveTo(d.DueAt)
		d.busy = true
		s.mu.Unlock()
		replies = append(replies, s.try(d))
		s.mu.Lock()
	}
	s.moveTo(target)
	s.finishRefunds()
	s.advancing = false
	s.mu.Unlock()
	s.nudge()
	return replies
}

// moveTo sets the clock, forward only; the caller holds mu.
func (s *Simulator) moveTo(t time.Time) {
	if ahead := t.Sub(s.now()); ahead > 0 {
		s.state.Offset += ahead
		s.changed()
	}
}
