# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU on the device under test, with its monitor (QMP), its serial port and its messages."""

import json
import os
import re
import shlex
import socket
import subprocess
import time

PROGRAMS = {'10': 'qemu-system-x86_64', '7.2': 'qemu-7.2'}
KERNEL = '/guest/vmlinuz'
INITRD = '/with/guest.cpio'
WORK = '/tmp/work'
# For what is done at once. The machine under the emulated host may stand still for half a minute.
PROMPT_SECONDS = 120


class Failure(Exception):
    """What was expected did not come about."""


def accelerated(words, device, version):
    """The words of a command line, with -accel kvm on the device."""
    # QEMU 7.2 has no choice of device: hv answers for /dev/kvm there.
    which = 'kvm' if version == '7.2' else 'kvm,device=' + device
    words = list(words)
    for i, word in enumerate(words[:-1]):
        if word == '-accel' and words[i + 1].split(',')[0] == 'kvm':
            words[i + 1] = which + words[i + 1][len('kvm'):]
            return words
    return ['-accel', which] + words


def command_line(mode, append=''):
    """The kernel's. A busy machine may not let the emulated host run for half a minute."""
    return ('console=ttyS0 cryptomgr.notests quiet panic=-1 watchdog_thresh=60 '
            f'rcupdate.rcu_cpu_stall_timeout=120 hv.mode={mode} {append}').strip()


class Machine:
    """Started by start(); ended by stop(), or by its guest."""

    def __init__(self, name, device, options, version='10', boot=None, append=''):
        """boot: the mode of the guest (see guest.c), none without it."""
        self.name = name
        self.base = os.path.join(WORK, name)
        os.makedirs(WORK, exist_ok=True)
        words = shlex.split(options) if isinstance(options, str) else list(options)
        self.args = [PROGRAMS[version]] + accelerated(words, device, version)
        self.args += ['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot']
        if '-m' not in words:
            self.args += ['-m', '192']
        # Paused until told: so that the monitor is there before the guest runs.
        self.args += ['-S', '-chardev', f'socket,id=qmp,path={self.base}.qmp,server=on,wait=off',
                      '-mon', 'chardev=qmp,mode=control', '-serial', f'file:{self.base}.console']
        if boot:
            self.args += ['-kernel', KERNEL, '-initrd', INITRD, '-append', command_line(boot, append)]
        self.process = None
        self.monitor = None
        self.events = []

    def start(self, seconds=PROMPT_SECONDS):
        """Start QEMU and greet its monitor. Failure if it ends instead."""
        for end in ('.console', '.qmp'):
            if os.path.exists(self.base + end):
                os.unlink(self.base + end)
        with open(self.base + '.stderr', 'wb') as err:
            self.process = subprocess.Popen(self.args, stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        end = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                raise Failure(f'QEMU ended with status {self.process.returncode}')
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.base + '.qmp')
                break
            except OSError:
                sock.close()
            if time.monotonic() > end:
                raise Failure('QEMU offers no monitor')
            time.sleep(0.02)
        sock.settimeout(seconds)
        self.monitor = sock.makefile('rw')
        self._read()
        self.qmp('qmp_capabilities')
        return self

    def _read(self):
        try:
            line = self.monitor.readline()
        except TimeoutError as e:
            raise Failure('QEMU does not answer') from e
        except OSError:
            line = ''
        if not line:
            # It is about to end, or has.
            raise Failure(f'QEMU ended with status {self.wait_exit()}')
        return json.loads(line)

    def qmp(self, command, **arguments):
        """The answer to a command; Failure if it is an error."""
        message = {'execute': command}
        if arguments:
            message['arguments'] = {k.replace('_', '-'): v for k, v in arguments.items()}
        try:
            self.monitor.write(json.dumps(message) + '\n')
            self.monitor.flush()
        except OSError:
            pass
        while True:
            answer = self._read()
            if 'return' in answer:
                return answer['return']
            if 'error' in answer:
                raise Failure(f"{command}: {answer['error']['desc']}")
            self.events.append(answer)

    def hmp(self, line):
        """What a command of the human monitor prints."""
        return self.qmp('human-monitor-command', command_line=line).replace('\r', '')

    def status(self):
        return self.qmp('query-status')['status']

    def console(self):
        try:
            with open(self.base + '.console', 'rb') as f:
                return f.read().decode('utf-8', 'replace').replace('\r', '')
        except FileNotFoundError:
            return ''

    def messages(self):
        """What QEMU said, without what differs from run to run."""
        with open(self.base + '.stderr', encoding='utf-8', errors='replace') as f:
            text = f.read()
        text = re.sub(r'/dev/(hv|kvm)\b', 'DEVICE', text)
        text = re.sub(r'\b0x[0-9a-f]{9,}\b', 'ADDRESS', text)
        # Said by QEMU of a signal that the test itself sent.
        return [l for l in text.splitlines() if l and 'terminating on signal' not in l]

    def wait_console(self, pattern, seconds, after=0):
        """The match of a pattern on the console, from its character `after` on."""
        end = time.monotonic() + seconds
        while True:
            # Whatever it wrote before it ended counts.
            ended = self.process.poll() is not None
            match = re.compile(pattern, re.M).search(self.console(), after)
            if match:
                return match
            if ended:
                raise Failure(f'QEMU ended with status {self.process.returncode} before "{pattern}"')
            if time.monotonic() > end:
                raise Failure(f'no "{pattern}" on the console after {seconds} s')
            time.sleep(0.05)

    def wait_status(self, wanted, seconds):
        end = time.monotonic() + seconds
        while self.status() != wanted:
            if time.monotonic() > end:
                raise Failure(f'the machine is {self.status()}, not {wanted}')
            time.sleep(0.05)

    def wait_exit(self, seconds=PROMPT_SECONDS):
        """QEMU's exit status, once its guest has ended."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as e:
            raise Failure(f'QEMU has not ended {seconds} s after its guest') from e

    def stop(self):
        """End QEMU, politely if it listens. Its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.monitor:
            self.monitor.close()
            self.monitor = None
        return self.process.returncode

    def trouble(self):
        """For a report: the last things that QEMU and the guest said."""
        said = self.messages()[-8:] + self.console().splitlines()[-12:]
        return '\n'.join('    ' + line for line in said)
