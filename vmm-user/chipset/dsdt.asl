/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The devices of hvm's machine that ACPI describes. Addresses and lines are those of
 * memory/layout.h. What depends on the guest's configuration, or on where firmware put it, is in
 * the SSDT that acpi.c makes: processors, and as base and length the PCI windows below 4 GiB
 * (W32B and W32L, W33B and W33L), the one above RAM (W64B and W64L), and bus 0's ECAM (ECAB).
 */
DefinitionBlock ("", "DSDT", 2, "HVM", "HVMDSDT", 0x00000001)
{
	External (\_SB.ECAB, IntObj)
	External (\_SB.W32B, IntObj)
	External (\_SB.W32L, IntObj)
	External (\_SB.W33B, IntObj)
	External (\_SB.W33L, IntObj)
	External (\_SB.W64B, IntObj)
	External (\_SB.W64L, IntObj)

	/* Soft off: the sleep type that pm.c takes for "switch off". */
	Name (\_S5, Package () { 0x05, 0x05, 0x00, 0x00 })

	Scope (\_SB)
	{
		Device (PCI0)
		{
			Name (_HID, EisaId ("PNP0A08"))
			Name (_CID, EisaId ("PNP0A03"))
			Name (_UID, 0)
			Name (_SEG, 0)
			Name (_BBN, 0)
			Name (_CCA, 1)

			Name (CRSL, ResourceTemplate ()
			{
				WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode,
					0x0000, 0x0000, 0x0000, 0x0000, 0x0001)
				IO (Decode16, 0x0cf8, 0x0cf8, 0x01, 0x08)
				WordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange,
					0x0000, 0x0d00, 0xffff, 0x0000, 0xf300)
			})
			Name (CRS2, ResourceTemplate ()
			{
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0x00000000, 0xc0000000, 0xdfffffff, 0x00000000, 0x20000000)
			})
			Name (CRS3, ResourceTemplate ()
			{
				DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					NonCacheable, ReadWrite,
					0x00000000, 0xc0000000, 0xdfffffff, 0x00000000, 0x20000000)
			})
			Name (CRSH, ResourceTemplate ()
			{
				QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed,
					Cacheable, ReadWrite,
					0x0000000000000000, 0x0000000100000000, 0x00000001ffffffff,
					0x0000000000000000, 0x0000000100000000)
			})
			Method (_CRS, 0, Serialized)
			{
				/* Offsets of the descriptors' fields (ACPI 6.5, 6.4.3.5.1 and 6.4.3.5.2). */
				CreateDWordField (CRS2, 10, AMIN)
				CreateDWordField (CRS2, 14, AMAX)
				CreateDWordField (CRS2, 22, ALEN)
				CreateDWordField (CRS3, 10, BMIN)
				CreateDWordField (CRS3, 14, BMAX)
				CreateDWordField (CRS3, 22, BLEN)
				CreateQWordField (CRSH, 14, WMIN)
				CreateQWordField (CRSH, 22, WMAX)
				CreateQWordField (CRSH, 38, WLEN)
				AMIN = \_SB.W32B
				ALEN = \_SB.W32L
				AMAX = \_SB.W32B + \_SB.W32L - 1
				Local0 = ConcatenateResTemplate (CRSL, CRS2)
				If (\_SB.W33L != 0)
				{
					BMIN = \_SB.W33B
					BLEN = \_SB.W33L
					BMAX = \_SB.W33B + \_SB.W33L - 1
					Local0 = ConcatenateResTemplate (Local0, CRS3)
				}
				If (\_SB.W64L != 0)
				{
					WMIN = \_SB.W64B
					WLEN = \_SB.W64L
					WMAX = \_SB.W64B + \_SB.W64L - 1
					Local0 = ConcatenateResTemplate (Local0, CRSH)
				}
				Return (Local0)
			}

			/* INTA# of slot n is line 16 + n % 4. Every function uses INTA#. */
			Name (_PRT, Package ()
			{
				Package () { 0x0000ffff, 0, 0, 16 },
				Package () { 0x0001ffff, 0, 0, 17 },
				Package () { 0x0002ffff, 0, 0, 18 },
				Package () { 0x0003ffff, 0, 0, 19 },
				Package () { 0x0004ffff, 0, 0, 16 },
				Package () { 0x0005ffff, 0, 0, 17 },
				Package () { 0x0006ffff, 0, 0, 18 },
				Package () { 0x0007ffff, 0, 0, 19 },
				Package () { 0x0008ffff, 0, 0, 16 },
				Package () { 0x0009ffff, 0, 0, 17 },
				Package () { 0x000affff, 0, 0, 18 },
				Package () { 0x000bffff, 0, 0, 19 },
				Package () { 0x000cffff, 0, 0, 16 },
				Package () { 0x000dffff, 0, 0, 17 },
				Package () { 0x000effff, 0, 0, 18 },
				Package () { 0x000fffff, 0, 0, 19 },
				Package () { 0x0010ffff, 0, 0, 16 },
				Package () { 0x0011ffff, 0, 0, 17 },
				Package () { 0x0012ffff, 0, 0, 18 },
				Package () { 0x0013ffff, 0, 0, 19 },
				Package () { 0x0014ffff, 0, 0, 16 },
				Package () { 0x0015ffff, 0, 0, 17 },
				Package () { 0x0016ffff, 0, 0, 18 },
				Package () { 0x0017ffff, 0, 0, 19 },
				Package () { 0x0018ffff, 0, 0, 16 },
				Package () { 0x0019ffff, 0, 0, 17 },
				Package () { 0x001affff, 0, 0, 18 },
				Package () { 0x001bffff, 0, 0, 19 },
				Package () { 0x001cffff, 0, 0, 16 },
				Package () { 0x001dffff, 0, 0, 17 },
				Package () { 0x001effff, 0, 0, 18 },
				Package () { 0x001fffff, 0, 0, 19 }
			})

			/* What no other device may claim: ECAM, power management, reset, POST. */
			Device (RES0)
			{
				Name (_HID, EisaId ("PNP0C02"))
				Name (_UID, 0)
				Name (ECAR, ResourceTemplate ()
				{
					Memory32Fixed (ReadWrite, 0xe0000000, 0x00100000)
				})
				Name (PORT, ResourceTemplate ()
				{
					IO (Decode16, 0x0600, 0x0600, 0x01, 0x10)
					IO (Decode16, 0x0064, 0x0064, 0x01, 0x01)
					IO (Decode16, 0x0080, 0x0080, 0x01, 0x01)
				})
				Method (_CRS, 0, Serialized)
				{
					/* Offset of the descriptor's field (ACPI 6.5, 6.4.3.4). */
					CreateDWordField (ECAR, 4, EBAS)
					If (\_SB.ECAB == 0)
					{
						Return (PORT)
					}
					EBAS = \_SB.ECAB
					Return (ConcatenateResTemplate (ECAR, PORT))
				}
			}

			Device (COM1)
			{
				Name (_HID, EisaId ("PNP0501"))
				Name (_UID, 1)
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x03f8, 0x03f8, 0x08, 0x08)
					IRQNoFlags () { 4 }
				})
			}

			Device (RTC)
			{
				Name (_HID, EisaId ("PNP0B00"))
				Name (_CRS, ResourceTemplate ()
				{
					IO (Decode16, 0x0070, 0x0070, 0x01, 0x02)
					IRQNoFlags () { 8 }
				})
			}
		}
	}
}
