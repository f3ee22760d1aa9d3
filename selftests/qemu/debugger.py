#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb on QEMU's stub (-s -S): steps, breakpoints and watchpoints in firmware and in a running kernel.

  debugger.py DEVICE RESULTS [--quick]   "ok NAME" or "not ok NAME" for each test
  debugger.py compare KVM-RESULTS HV-RESULTS   the stops must be the same ones

RESULTS gets what gdb printed at each stop.
"""

import json
import os
import re
import subprocess
import sys

from machine import Failure, Machine

BOOT_SECONDS = 150
GDB_SECONDS = 180
STEPS = 40
failed = 0
stops = {}


def gdb(*commands):
    """What gdb prints, line by line."""
    args = ['gdb', '-nx', '-batch', '-iex', 'set architecture i386:x86-64',
            '-ex', 'set pagination off', '-ex', 'set confirm off', '-ex', 'set tcp connect-timeout 60',
            '-ex', 'set remotetimeout 60',
            '-ex', 'target remote 127.0.0.1:1234']
    for command in commands:
        args += ['-ex', command]
    try:
        done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=GDB_SECONDS, check=False)
    except subprocess.TimeoutExpired as e:
        raise Failure(f'gdb does not come back:\n{(e.stdout or b"").decode()}') from e
    return done.stdout.decode('utf-8', 'replace').splitlines()


def values(lines, name='at'):
    """Numbers of lines "at 0x…", as `printf` of our commands writes them."""
    return [int(found.group(1), 16) for found in (re.match(name + ' (0x[0-9a-f]+|0)$', line) for line in lines)
            if found]


def test(name, device, passed, lines, keep=None):
    """Record a test; keep: what must be the same on the other device."""
    global failed
    label = f'{os.path.basename(device)}-{name}'
    print(('ok ' if passed else 'not ok ') + label, flush=True)
    if not passed:
        failed += 1
        print('\n'.join('    ' + line for line in lines[:12] + lines[12:][-12:]))
    stops[name] = keep if passed else None


def emulated_svm():
    """QEMU's emulation of SVM executes INT3 in spite of the intercept: stock KVM's guests die of it too."""
    with open('/proc/cpuinfo', encoding='ascii') as f:
        return 'QEMU TCG CPU' in f.read()


AT = 'printf "at %#lx\\n", $pc'


def from_reset(device, name):
    """-S: at the reset vector, and by single steps into the firmware."""
    machine = Machine(name, device, '-M q35 -cpu host -s')
    try:
        machine.start()
        lines = gdb('printf "cs %#lx\\n", $cs', AT, *(['stepi', AT] * STEPS), 'kill')
        at = values(lines)
        # Real mode: gdb prints the offset in the segment.
        test('reset-vector', device, values(lines, 'cs') == [0xf000] and at[:1] == [0xfff0], lines)
        test('reset-steps', device, len(set(at)) > STEPS // 2 and len(at) == STEPS + 1, lines, at)
    finally:
        machine.stop()


def running_kernel(device, name, machine_type, cpus):
    """A kernel that sleeps over and over: stop it at its functions and at its data."""
    machine = Machine(name, device, f'-M {machine_type} -cpu host -smp {cpus} -s', boot='debug',
                      append='nokaslr')
    prefix = f'{name}-'
    try:
        machine.start()
        machine.qmp('cont')
        machine.wait_console('^LOOPING', BOOT_SECONDS)
        symbols = {n: int(a, 16) for n, a in re.findall(r'^SYMBOL (\S+) (\S+)', machine.console(), re.M)}
        function, inner = symbols['__x64_sys_clock_nanosleep'], symbols['hrtimer_nanosleep']
        jiffies = symbols['jiffies']

        lines = gdb(f'hbreak *{function:#x}', 'continue', AT, 'continue', AT, 'delete', 'stepi', AT, 'detach')
        at = values(lines)
        test(prefix + 'hardware-breakpoint', device,
             at[:2] == [function] * 2 and len(at) == 3 and function < at[2] < function + 16, lines, at)

        # Into the function, instruction by instruction: interrupts wait meanwhile.
        lines = gdb(f'hbreak *{function:#x}', 'continue', 'delete', AT, *(['stepi', AT] * STEPS), 'detach')
        at = values(lines)
        test(prefix + 'steps', device,
             len(at) == STEPS + 1 and at[0] == function and len(set(at)) > STEPS // 2, lines, at)

        show = f'printf "value %#lx\\n", *(long *){jiffies:#x}'
        lines = gdb(f'watch *(long *){jiffies:#x}', show, 'continue', AT, show, 'continue', AT, show,
                    'delete', 'detach')
        value = values(lines, 'value')
        # Where it is written depends on what the processor does at that time.
        test(prefix + 'watchpoint', device,
             len(value) == 3 and value[0] < value[1] < value[2] and value[2] - value[0] < 10000, lines)

        lines = gdb(f'rwatch *(long *){jiffies:#x}', 'continue', AT, 'delete', 'detach')
        test(prefix + 'read-watchpoint', device,
             any('Value = ' in line for line in lines) and len(values(lines)) == 1, lines)

        lines = gdb('info threads', 'printf "cr0 %#lx\\n", $cr0 & 0x80000001', f'x/8xb {function:#x}', 'detach')
        threads = sum('Thread 1.' in line for line in lines)
        code = [line for line in lines if line.startswith(f'{function:#x}:')]
        test(prefix + 'state', device,
             threads == cpus and values(lines, 'cr0') == [0x80000001] and len(code) == 1, lines, code)

        # Nothing of it is left behind: it goes on.
        machine.wait_console('^LOOP ', BOOT_SECONDS, len(machine.console()))
        test(prefix + 'goes-on', device, machine.status() == 'running', [])

        if emulated_svm():
            print(f'skip {os.path.basename(device)}-{prefix}software-breakpoint the emulated CPU does not intercept INT3')
            return
        lines = gdb(f'break *{inner:#x}', 'continue', AT, 'continue', AT, 'delete', 'stepi', AT, 'detach')
        at = values(lines)
        test(prefix + 'software-breakpoint', device,
             at[:2] == [inner] * 2 and len(at) == 3 and inner < at[2] < inner + 16, lines, at)

        machine.wait_console('^LOOP ', BOOT_SECONDS, len(machine.console()))
    except Failure as e:
        test(prefix + 'run', device, False, [str(e), machine.trouble()])
    finally:
        machine.stop()


def compare(kvm_results, hv_results):
    """Where the debugger stopped, on the one and on the other."""
    with open(kvm_results, encoding='utf-8') as f:
        kvm = json.load(f)
    with open(hv_results, encoding='utf-8') as f:
        hv = json.load(f)
    differ = 0
    for name, kept in kvm.items():
        if kept is None:
            continue
        same = kept == hv.get(name)
        print(('ok ' if same else 'not ok ') + f'same-{name}')
        if not same:
            differ += 1
            print(f'    kvm: {kept}\n    hv:  {hv.get(name)}')
    return differ != 0


def main():
    args = [a for a in sys.argv[1:] if a != '--quick']
    if len(args) == 3 and args[0] == 'compare':
        return compare(args[1], args[2])
    if len(args) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    from_reset(args[0], 'reset')
    running_kernel(args[0], 'q35', 'q35', 2)
    if '--quick' not in sys.argv:
        running_kernel(args[0], 'split', 'q35,kernel-irqchip=split', 1)
        running_kernel(args[0], 'microvm', 'microvm', 1)
    with open(args[1], 'w', encoding='utf-8') as f:
        json.dump(stops, f)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main())
