// Short messages at the edge of the page, some with a way back.
export interface Toast {
  id: number;
  text: string;
  tone: 'good' | 'bad';
  undo?: () => void;
}

const SECONDS = { good: 6, bad: 12 };

class Toasts {
  list = $state.raw<Toast[]>([]);
  private next = 1;

  say(text: string, undo?: () => void): void {
    this.add({ id: this.next, text, tone: 'good', undo });
  }

  complain(text: string): void {
    this.add({ id: this.next, text, tone: 'bad' });
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }

  private add(toast: Toast): void {
    this.next += 1;
    this.list = [...this.list.slice(-3), toast];
    setTimeout(() => this.close(toast.id), SECONDS[toast.tone] * 1000);
  }
}

export const toasts = new Toasts();
